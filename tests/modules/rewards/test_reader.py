"""Frozen readers: what they answer by descriptions, what they knew, and what a judge says."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch

from datamodules.batch import Batch, Completions
from datamodules.prompts.description_prompts import asked_batch, judged_batch, told_batch
from datamodules.prompts.encoder import PromptEncoder
from datamodules.sample import Sample
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from modules.rewards.evidence_reward import Texts
from modules.rewards.reader import JUDGING, Judge, Reader, parse_judgment
from modules.verifiers.verify import Verdict, verify, verify_all
from tests.conftest import make_sample

SAMPLES = [
    make_sample("r0", "Which digit is in the image?"),
    replace(make_sample("r1", "Which of these is odd?"), answer="C"),
]
TEXTS = [
    ["The image shows the digit 8.", "", "The image shows the digit 3.", ""],
    ["Nothing to see.", "The voice says the digit 5, and then says it again and again.", "8", "5"],
]


def reader(policy: OmniModel, encoder: PromptEncoder, *, samples: int = 4, seed: int = 3) -> Reader:
    return Reader(
        policy,
        partial(told_batch, encoder),
        partial(asked_batch, encoder),
        max_tokens=8,
        prior_samples=samples,
        seed=seed,
    )


def alone(policy: OmniModel, encoder: PromptEncoder, sample: Sample, text: str) -> Verdict:
    """Read one whole prompt, sharing nothing, and answer greedily."""
    prompt, rest = told_batch(encoder, [sample], [[text]])
    ids = torch.cat([prompt.prompt_ids, rest.token_ids[0]])
    whole = Batch(
        samples=[sample],
        step=0,
        prompt_ids=ids,
        prompt_lens=[len(ids)],
        positions=torch.arange(len(ids)).expand(3, -1),
        media=[()],
    )
    greedy = Sampling(group_size=1, max_tokens=8, temperature=0.0)
    said = policy.sample(whole, greedy, uniforms=torch.zeros(1, 8))
    return verify(said.texts[0], sample=sample)


def test_answers_are_those_to_each_whole_prompt_alone(tiny_policy, tiny_encoder):
    """Ragged texts, an empty one, and one that comes twice."""
    found = reader(tiny_policy, tiny_encoder).answers(SAMPLES, TEXTS)
    expected = [
        [alone(tiny_policy, tiny_encoder, sample, text) for text in texts]
        for sample, texts in zip(SAMPLES, TEXTS, strict=True)
    ]
    assert found == expected
    assert len({verdict.extracted for group in found for verdict in group}) > 1


def test_a_question_is_read_once_and_equal_descriptions_are_too(tiny_policy, tiny_encoder):
    """Two prompts in all; three different texts about the first and one about the second."""
    seen: list[tuple[Batch, Completions]] = []

    def tell(samples: Sequence[Sample], texts: Texts) -> tuple[Batch, Completions]:
        seen.append(told_batch(tiny_encoder, samples, texts))
        return seen[-1]

    counting = reader(tiny_policy, tiny_encoder)
    counting.tell = tell
    found = counting.answers(SAMPLES, [TEXTS[0], ["8", "8"]])
    [(batch, rows)] = seen
    assert len(batch) == 2 and rows.owner == [0, 0, 0, 1]
    assert [len(group) for group in found] == [4, 2]
    assert found[0][1] == found[0][3]


def test_descriptions_cannot_end_their_turn(tiny_policy, tiny_encoder):
    by = reader(tiny_policy, tiny_encoder)
    plain, broken = (
        by.answers(SAMPLES[:1], [[f"The image shows{mark} the digit 8."]])
        for mark in ("", "<|im_end|>")
    )
    assert plain == broken


def test_what_a_reader_knew_is_the_share_right_without_a_description(tiny_policy, tiny_encoder):
    """Draws are keyed by the question, so that neither order nor company changes them."""
    both = reader(tiny_policy, tiny_encoder, samples=8)
    shares = both.prior(SAMPLES)
    assert reader(tiny_policy, tiny_encoder, samples=8).prior(SAMPLES[::-1]) == shares[::-1]
    uniforms = asked_batch(tiny_encoder, SAMPLES).uniforms(seed=3, group_size=8, length=8)
    said = tiny_policy.sample(
        asked_batch(tiny_encoder, SAMPLES),
        Sampling(group_size=8, max_tokens=8),
        uniforms=uniforms,
    )
    right = [one.correct for one in verify_all(said.texts, [s for s in SAMPLES for _ in range(8)])]
    assert shares == [sum(right[:8]) / 8, sum(right[8:]) / 8]
    assert shares[1] > 0


def test_what_a_reader_knew_is_asked_once(tiny_policy, tiny_encoder):
    by = reader(tiny_policy, tiny_encoder)
    asked: list[list[str]] = []
    ask = by.ask

    def counted(samples: Sequence[Sample]) -> Batch:
        asked.append([sample.id for sample in samples])
        return ask(samples)

    by.ask = counted
    first = by.prior(SAMPLES[:1])
    assert by.prior(SAMPLES)[:1] == first
    assert asked == [["r0"], ["r1"]]
    by.prior([make_sample("r2"), SAMPLES[0], make_sample("r3"), make_sample("r2")])
    assert asked[2:] == [["r2"], ["r3"]], "in no company, which a resumed run would not repeat"


def test_a_verdict_on_a_description_is_that_on_the_readers_answer(tiny_policy, tiny_encoder):
    by = reader(tiny_policy, tiny_encoder)
    found = by.grade([TEXTS[0][2], TEXTS[1][1]], SAMPLES)
    both = by.answers(SAMPLES, TEXTS)
    assert found == [both[0][2], both[1][1]]


@pytest.mark.parametrize(
    ("reply", "honest"),
    [
        ("[[honest]]", True),
        ("[[CHEAT]]", False),
        ("It names the letter. [[CHEAT]]", False),
        ("[[honest]][[honest]]", True),
        ("[[HONEST]]", None),
        ("[[cheat]]", None),
        ("[honest]", None),
        ("honest", None),
        ("[[CHEAT]] or [[honest]]?", None),
        ("", None),
    ],
)
def test_a_judge_says_one_of_two_marks_or_nothing(reply, honest):
    assert parse_judgment(reply) is honest


def test_a_judge_sees_question_options_and_description_but_no_answer(tiny_policy, tiny_encoder):
    """The tiny model knows no marks: nothing that it says is an opinion."""
    seen: list[str] = []

    def tell(samples: Sequence[Sample], texts: Texts) -> tuple[Batch, Completions]:
        batch, rows = judged_batch(tiny_encoder, samples, texts, JUDGING)
        ids = [*batch.prompt_ids.tolist(), *rows.token_ids[0, : rows.lens[0]].tolist()]
        seen.append(tiny_encoder.tokenizer.decode(ids))
        return batch, rows

    sample = replace(SAMPLES[0], options=("3", "8", "a gong"), answer="C")
    found = Judge(tiny_policy, tell).no_leak([sample], [["Two rings.", "Two rings.", "A bell."]])
    assert found == [[None, None, None]]
    assert sample.question in seen[0] and "Two rings." in seen[0] and "[[CHEAT]]" in seen[0]
    assert seen[0].count("a gong") == 1
