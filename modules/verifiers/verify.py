"""Decide whether a completion is right, by rules alone: no model, no chance, no second guess.

`extraction` finds the answer, `readings` reads it as the type that is expected, and here it is held
against the sample. A completion without an answer, or with one of another type, is wrong and
counted as unparsed. Scorers that fall back to a random option, to the letter A, or to a substring
("no" is in "know") pay for noise, and a policy in training finds out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from datamodules.sample import AnswerType, Sample
from modules.verifiers.extraction import CLOSE, MAX_BARE, OPEN, Container, enclosed, locate, unwrap
from modules.verifiers.math_answers import equivalent
from modules.verifiers.numerals import number
from modules.verifiers.parsing import ChoiceRule, as_shown, check_choice, choice, items
from modules.verifiers.similarity import rouge, set_f1, word_error_rate
from modules.verifiers.symbols import initials
from modules.verifiers.typography import normalize, without_article

Rule = Literal["none", ChoiceRule, "number", "set", "yes_no", "text", "math", "ocr", "regression"]
Reading = str | Decimal | frozenset[str]

CLOSED: tuple[AnswerType, ...] = ("choice", "number", "yes_no", "regression")
"""Types whose answers cannot be mistaken for anything else, so that they need no tags."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was read from a completion, by which rule, and whether it is right."""

    extracted: str | None
    """The text of the answer; None where there is none."""

    container: Container | None
    """What the answer stood in; None where there is none."""

    rule: Rule
    """What decided: `none` where there was nothing to read, `letter`, `index` or `option_text` for
    choices, else the answer type."""

    parsed: bool
    """The extracted text is an answer of the expected type. What is not parsed is never correct."""

    correct: bool

    score: float
    """Credit from 0 to 1, and 1 wherever the answer is right. Of a wrong one: F1 of the items for
    `set`, the mean of ROUGE-1, -2 and -L for `text`, 1 - word error rate for `ocr`, and
    1 - |error| / |answer| for `regression`, as Video-R1 has them (arXiv 2503.21776); else 0."""


NOTHING = Verdict(
    extracted=None, container=None, rule="none", parsed=False, correct=False, score=0.0
)


def verify(completion: str, *, sample: Sample) -> Verdict:
    """Judge a completion against the answer of its sample.

    `choice` takes the text of the option, and another way of writing it where no other option reads
    so; where options are shown behind letters, first of all the letter, alone, after the word
    "option" or with its own option's text, and "option" with a number from 1. `number` and
    `regression` take digits, a fraction or number words of a value within the sample's tolerance,
    without units; `set` the same items in any order; `yes_no` the bare word; `text` and `ocr` the
    same words; `math` an equivalent expression. Of open answers, case, white space and typography
    never matter; signs and marks that mean something always do.
    """
    return verify_all([completion], [sample])[0]


def verify_all(completions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
    """Judge each completion against the answer of its sample, mathematics side by side."""
    golds = [_gold(sample) for sample in samples]
    given = [_given(*pair) for pair in zip(completions, samples, strict=True)]
    pairs = {
        place: (unwrap(sample.answer), unwrap(found[0]))
        for place, (sample, found) in enumerate(zip(samples, given, strict=True))
        if sample.answer_type == "math" and found and found[1] != "bare"
    }
    equal = dict(zip(pairs, equivalent(list(pairs.values())), strict=True)) if pairs else {}
    return [
        NOTHING if found is None else _judge(*found, gold, sample, equal=equal.get(place))
        for place, (found, gold, sample) in enumerate(zip(given, golds, samples, strict=True))
    ]


def _given(completion: str, sample: Sample) -> tuple[str, Container] | None:
    """Find the answer of a completion.

    What is imitated is its own answer, though that look like tags or thoughts. Words that are asked
    for as they come need no tags.
    """
    inner = enclosed(completion)
    if inner and ("<" in inner or len(inner) > MAX_BARE) and as_shown(inner, sample):
        return inner, "tags"
    if sample.free and CLOSE not in completion.partition(OPEN)[2]:
        said = completion.strip()
        return (said, "bare") if said else None
    return locate(completion)


def _gold(sample: Sample) -> Reading:
    """Read the answer of a sample, which must be one; letters are what it is kept as."""
    gold: Reading | None
    if sample.answer_type == "choice":
        check_choice(sample)
        gold = sample.right[0] if sample.answer in tuple(sample.letters) else None
    elif sample.answer_type == "set":
        gold = items(sample.answer, replace(sample, answer_with="letter"))
    else:
        _, gold = _read(unwrap(sample.answer), sample)
    if gold is None:
        raise ValueError(
            f"{sample.id}: the answer {sample.answer!r} is no {sample.answer_type} among "
            f"{len(sample.options)} options, so that no completion could be right: correct the "
            "record, or drop it when it is read."
        )
    return gold


def _read(text: str, sample: Sample) -> tuple[Rule, Reading | None]:
    """Read a text as an answer of the sample's type; None where it is not one."""
    kind = sample.answer_type
    if kind == "choice":
        return choice(text, sample)
    text = unwrap(text)
    if kind in ("number", "regression"):
        return kind, number(text, percent=sample.answer.endswith("%"))
    if kind == "set":
        return kind, items(text, sample)
    if kind == "math":
        return kind, text or None
    words = normalize(text)
    if kind == "yes_no" and words not in ("yes", "no"):
        return kind, None
    return kind, words or None


def _judge(
    text: str, container: Container, gold: Reading, sample: Sample, *, equal: bool | None
) -> Verdict:
    """Hold what was given against what is right.

    Args:
        equal: of `math`, whether the two are equivalent; None where they could not be compared.
    """
    rule, found = _read(text, sample)
    untagged = sample.answer_type in CLOSED or sample.free
    if container == "bare" and (found is None or not untagged):
        return NOTHING
    if sample.answer_type == "math":
        found, correct = (None if equal is None else unwrap(text)), equal is True
    elif isinstance(found, Decimal) and isinstance(gold, Decimal):
        correct = abs(found - gold) <= Decimal(str(sample.tolerance))
    elif sample.answer_type == "text" and isinstance(found, str) and isinstance(gold, str):
        correct = any(form(found) == form(gold) for form in (str, without_article, initials))
    else:
        correct = found == gold
    return Verdict(
        extracted=text if text in sample.options else unwrap(text),
        container=container,
        rule=rule,
        parsed=found is not None,
        correct=correct,
        score=1.0 if correct else _credit(found, gold, sample.answer_type),
    )


def _credit(found: Reading | None, gold: Reading, kind: AnswerType) -> float:
    """Tell how close a wrong answer came."""
    if isinstance(found, frozenset) and isinstance(gold, frozenset):
        return set_f1(found, gold)
    if kind == "regression" and isinstance(found, Decimal) and isinstance(gold, Decimal) and gold:
        return float(max(Decimal(0), 1 - abs(found - gold) / abs(gold)))
    if kind in ("text", "ocr") and isinstance(found, str) and isinstance(gold, str):
        said, meant = found.split(), gold.split()
        return rouge(said, meant) if kind == "text" else max(0.0, 1 - word_error_rate(said, meant))
    return 0.0
