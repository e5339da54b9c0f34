"""Prompts from text alone: questions with a description in place of their media, or with
nothing."""

from collections.abc import Sequence
from dataclasses import replace

from datamodules.batch import Batch, Completions
from datamodules.prompts.collate import collate, shared_tokens
from datamodules.prompts.encoder import Prompt, PromptEncoder
from datamodules.prompts.templates import question_text
from datamodules.sample import Sample

SharedPrompts = tuple[Batch, Completions]
"""What the prompts of each question have in common, as prompts, and the rest of each, as
completions."""


def reader_batch(
    encoder: PromptEncoder,
    samples: Sequence[Sample],
    descriptions: Sequence[Sequence[str]],
    *,
    step: int = 0,
) -> SharedPrompts:
    """Ask each question by each of its descriptions, which stand in place of the media.

    Shapes: B samples, G descriptions of each -> B prompts, N completions, owned in order

    Args:
        descriptions: may be empty; special tokens in them are removed, so that none can end its
            own turn.
    """
    shown = [_put(encoder, sample) for sample in samples]
    prompts = [
        [
            encoder.prompt(
                replace(sample, evidence=encoder.plain(text)), (), task="answer_from_description"
            )
            for text in texts
        ]
        for sample, texts in zip(shown, descriptions, strict=True)
    ]
    return _shared(shown, prompts, step)


def judge_batch(
    encoder: PromptEncoder,
    samples: Sequence[Sample],
    descriptions: Sequence[Sequence[str]],
    wording: str,
    *,
    step: int = 0,
) -> SharedPrompts:
    """Show each question with each of its descriptions, without its answer, for a judge to rate.

    Args:
        wording: the instruction to the judge; it stands between question and description.
    """
    shown = [_put(encoder, sample) for sample in samples]
    prompts = [
        [encoder.say(f"{question_text(sample)}\n{wording}\nDescription: {text}") for text in texts]
        for sample, texts in zip(shown, descriptions, strict=True)
    ]
    return _shared(shown, prompts, step)


def question_only_batch(
    encoder: PromptEncoder, samples: Sequence[Sample], *, step: int = 0
) -> Batch:
    """Ask the questions without their media."""
    shown = [_put(encoder, sample) for sample in samples]
    return collate(shown, [encoder.prompt(sample, ()) for sample in shown], step=step)


def _put(encoder: PromptEncoder, sample: Sample) -> Sample:
    """Prepare a question for the model that reads or judges; there is nothing to imitate.

    It was checked against the policy's special tokens, and another model has others.
    """
    own = encoder.special_tokens.cleared(sample)
    return replace(own, answer_with=encoder.answer_with, completion="")


def _shared(
    samples: Sequence[Sample], prompts: Sequence[Sequence[Prompt]], step: int
) -> SharedPrompts:
    """Split the prompts of each question into their common beginning and the rest of each.

    At least one token remains of each, from which the answer is predicted.
    """
    beginnings, rests, owner = [], [], []
    for number, group in enumerate(prompts):
        shortest = min(len(prompt.token_ids) for prompt in group)
        length = min(shared_tokens(group), shortest - 1)
        beginnings.append(group[0].beginning(length))
        rests += [prompt.token_ids[length:].tolist() for prompt in group]
        owner += [number] * len(group)
    return collate(samples, beginnings, step=step), Completions.of(rests, owner)
