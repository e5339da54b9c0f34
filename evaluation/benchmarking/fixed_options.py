"""Macro F1 of sets whose questions all have the same options, as labels of a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch

from datamodules.sample import Sample
from evaluation.benchmarking.scoring import GradedAnswer
from modules.verifiers.parsing import choice
from modules.verifiers.typography import normalize

YES_NO = ("no", "yes")


@dataclass(frozen=True, kw_only=True)
class MacroF1:
    """Mean F1 of the options that are the answer to a question at least."""

    value: float
    options: int
    """How many these are."""

    n: int
    """Questions that could be read."""


def macro_f1(graded: Sequence[Sequence[GradedAnswer]]) -> MacroF1 | None:
    """Weigh every option alike, however often it is right; None where options differ.

        F1 of an option  =  2 right / (answers that name it + questions whose answer it is)

    An answer that is missing or cannot be parsed names none. All orders of the options count.
    """
    options = fixed_options([own[0].sample for own in graded])
    if options is None:
        return None
    from torchmetrics.functional.classification import multiclass_f1_score  # noqa: PLC0415 - a second

    answers = [*chain.from_iterable(graded)]
    gold = torch.tensor([options.index(_gold(each.sample)) for each in answers])  # (A,)
    nothing = len(options)
    named = torch.tensor(
        [nothing if (name := _named(each)) is None else options.index(name) for each in answers]
    )  # (A,)
    each = multiclass_f1_score(named, gold, num_classes=nothing + 1, average="none")  # (O + 1,)
    asked = gold.unique()
    return MacroF1(value=float(each[asked].mean()), options=len(asked), n=len(graded))


def fixed_options(samples: Sequence[Sample]) -> tuple[str, ...] | None:
    """Return the options that all questions share, sorted; None where there are no such."""
    if not samples:
        return None
    if all(sample.answer_type == "yes_no" for sample in samples):
        return YES_NO
    options = sorted({*samples[0].options})
    shared = all(
        sample.answer_type == "choice" and sorted(sample.options) == options for sample in samples
    )
    return tuple(options) if shared and "" not in options else None


def _gold(sample: Sample) -> str:
    if sample.answer_type == "yes_no":
        return sample.answer
    return sample.options[sample.letters.index(sample.right[0])]


def _named(answer: GradedAnswer) -> str | None:
    """Return the option that an answer names, as the verifier reads it."""
    extracted, sample = answer.verdict.extracted, answer.sample
    if extracted is None or not answer.verdict.parsed:
        return None
    if sample.answer_type == "yes_no":
        return normalize(extracted)
    _, letter = choice(extracted, sample)
    assert letter is not None, "the same text was parsed before"
    return sample.options[sample.letters.index(letter)]
