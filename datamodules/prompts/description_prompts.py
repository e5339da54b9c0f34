"""Questions for who sees and hears nothing: by what others describe, and by themselves alone."""

from collections.abc import Sequence
from dataclasses import replace

from datamodules.batch import Batch, Completions
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import Prompt, PromptEncoder, shared_tokens
from datamodules.prompts.wording import asked
from datamodules.sample import Sample

Told = tuple[Batch, Completions]
"""What the prompts of each question begin with, as prompts; the rest of each, as completions."""


def told_batch(
    encoder: PromptEncoder,
    samples: Sequence[Sample],
    descriptions: Sequence[Sequence[str]],
    *,
    step: int = 0,
) -> Told:
    """Ask each question by each of its descriptions, which stand where media were.

    Shapes: B samples, G descriptions of each -> B prompts, N completions, owned in order

    Args:
        descriptions: may be empty texts; special tokens in them are left out, so that none can end
            its own turn.
    """
    shown = [_put(encoder, sample) for sample in samples]
    prompts = [
        [
            encoder.prompt(
                replace(sample, evidence=encoder.plain(text)), (), want="answer_from_description"
            )
            for text in texts
        ]
        for sample, texts in zip(shown, descriptions, strict=True)
    ]
    return _shared(shown, prompts, step)


def judged_batch(
    encoder: PromptEncoder,
    samples: Sequence[Sample],
    descriptions: Sequence[Sequence[str]],
    wording: str,
    *,
    step: int = 0,
) -> Told:
    """Show each question with each of its descriptions, and not its answer, to who judges these.

    Args:
        wording: what is asked of the judge; it stands between question and description.
    """
    shown = [_put(encoder, sample) for sample in samples]
    prompts = [
        [encoder.say(f"{asked(sample)}\n{wording}\nDescription: {text}") for text in texts]
        for sample, texts in zip(shown, descriptions, strict=True)
    ]
    return _shared(shown, prompts, step)


def asked_batch(encoder: PromptEncoder, samples: Sequence[Sample], *, step: int = 0) -> Batch:
    """Ask the questions alone, their media withheld."""
    shown = [_put(encoder, sample) for sample in samples]
    return collate(shown, [encoder.prompt(sample, ()) for sample in shown], step=step)


def _put(encoder: PromptEncoder, sample: Sample) -> Sample:
    """Make a question as it is asked of who answers it now, who has nothing to imitate.

    It was checked for the policy, and another model has other special tokens.
    """
    own = encoder.special_tokens.cleared(sample)
    return replace(own, answer_with=encoder.answer_with, completion="")


def _shared(samples: Sequence[Sample], prompts: Sequence[Sequence[Prompt]], step: int) -> Told:
    """Part what the prompts about each question have in common from the rest of each.

    At least one token is left of each: behind it the answer begins.
    """
    beginnings, rests, owner = [], [], []
    for number, group in enumerate(prompts):
        shortest = min(len(prompt.token_ids) for prompt in group)
        length = min(shared_tokens(group), shortest - 1)
        beginnings.append(group[0].beginning(length))
        rests += [prompt.token_ids[length:].tolist() for prompt in group]
        owner += [number] * len(group)
    return collate(samples, beginnings, step=step), Completions.of(rests, owner)
