"""Lay out every option of a question, under several orders, to be scored in one pass.

The common beginning of the prompts of all orders, media included, is read once; an order is a
continuation of it, and the answers that name its options branch off that. Nothing is sampled.
"""

from collections.abc import Sequence

import torch

from datamodules.batch import Completions, OptionScoring
from datamodules.loading.question_set import QuestionSet, media_in_order
from datamodules.media.files import MediaError
from datamodules.prompts.collate import collate, shared_tokens
from datamodules.prompts.encoder import Prompt, PromptEncoder
from datamodules.prompts.orders import arrange_options, option_order
from datamodules.sample import Sample


def option_scoring(
    questions: QuestionSet, indices: Sequence[int], *, orders: int, step: int
) -> OptionScoring | None:
    """Pack the questions at `indices` under the option seeds 0 to `orders` - 1.

    Unreadable ones are quarantined; None where none can be read.
    """
    encoder = questions.encoder
    samples: list[Sample] = []
    prompts: list[tuple[Sample, Prompt]] = []
    trunks, branches, owner, question, options = [], [], [], [], []
    for index in indices:
        sample = questions.samples[index]
        _refuse_open(sample)
        turned = [
            arrange_options(sample, option_seed=seed, answer_with=encoder.answer_with)
            for seed in range(orders)
        ]
        try:
            whole = _prompts(questions, turned)
            named = [encoder.option_targets(one) for one in turned]
        except MediaError as error:
            questions.quarantine.add(sample.id, error.kind, str(error), error.path)
            questions.quarantine.check(questions.manifest_rows)
            continue
        shared = _shared_tokens(whole, encoder)
        for seed, (asked, prompt) in enumerate(zip(turned, whole, strict=True)):
            length = len(prompt.token_ids) if shared is None else shared
            if shared is None or seed == 0:
                prompts.append((asked, prompt.beginning(length)))
            trunks.append(prompt.token_ids[length:].tolist())
            branches.append(named[seed])
            owner.append(len(prompts) - 1)
            question.append(len(samples))
            options.append(option_order(sample, seed))
        samples.append(sample)
    if not samples:
        return None
    return OptionScoring(
        samples=samples,
        batch=collate(*zip(*prompts, strict=True), step=step),
        completions=Completions.forked(trunks, branches, owner),
        question=question,
        options=options,
    )


def _refuse_open(sample: Sample) -> None:
    if sample.answer_type != "choice":
        raise ValueError(
            f"{sample.id} asks for a {sample.answer_type}, but scoring options compares the "
            "options of a choice: leave open questions out, or ask them with "
            "probe.method=generate."
        )


def _prompts(questions: QuestionSet, turned: Sequence[Sample]) -> list[Prompt]:
    """Encode the prompt of each order, every medium decoded and processed once."""
    features = questions.features(turned[0])
    return [
        questions.encoder.prompt(
            asked,
            media_in_order(questions.media(asked), features),
            task=questions.task,
            show_question=questions.show_question,
            suffix=questions.suffix,
        )
        for asked in turned
    ]


def _shared_tokens(prompts: Sequence[Prompt], encoder: PromptEncoder) -> int | None:
    """Count the tokens that all prompts begin with; None where media come after them.

    Placeholders are alike for all media, so tokens alone do not tell whether media that are options
    changed places.
    """
    shared = shared_tokens(prompts)
    placeholders = list(encoder.placeholders.values())
    media_ids = torch.tensor(
        encoder.tokenizer.convert_tokens_to_ids(placeholders), dtype=torch.long
    )
    behind = any(torch.isin(prompt.token_ids[shared:], media_ids).any() for prompt in prompts)
    moved = any(
        feature is not first
        for prompt in prompts
        for feature, first in zip(prompt.features, prompts[0].features, strict=True)
    )
    return None if behind or moved else shared
