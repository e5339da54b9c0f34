"""Rounds of sampling: who is asked what, and that a reward alone decides what it is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import final

import pytest
import torch

from configs.prealign import PrealignConfig
from configs.rewards import RewardConfig
from configs.rlvr import DynamicSamplingConfig, RlvrConfig
from datamodules.batch import Batch
from datamodules.prompts.description_prompts import question_only_batch, reader_batch
from datamodules.sample import Sample
from modules.policy.omni import OmniModel
from modules.rewards.evidence_reward import EvidenceReward, Texts
from modules.rewards.reader import Reader
from modules.rewards.verifier_reward import (
    ExtraView,
    Group,
    RewardFunction,
    RewardResult,
    VerifierReward,
)
from modules.rollout.collector import FreshPrompts, RolloutCollector
from modules.step.timer import PhaseTimer
from modules.verifiers.verify import Verdict, verify, verify_all


@final
class Counting:
    """Rewards length, and calls right what has an even number of tokens."""

    def __init__(self, **extra_views: range) -> None:
        self.extra_views: Mapping[ExtraView, range] = extra_views  # type: ignore[assignment]  # by name
        self.groups: list[Group] = []
        self.steps: list[int] = []

    def __call__(self, groups: Sequence[Group], *, step: int) -> list[list[RewardResult]]:
        self.groups += groups
        self.steps.append(step)
        return [
            [
                RewardResult(
                    reward=one.tokens / 4,
                    parts={"accuracy": float(one.tokens % 2 == 0), "tokens": float(one.tokens)},
                    filter_score=float(one.tokens > 4),
                    verdict=verify(one.text, sample=group.sample),
                )
                for one in group.completions
            ]
            for group in groups
        ]

    def grade(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
        return verify_all(completions, samples)


def collector(
    policy: OmniModel,
    reward: RewardFunction,
    *,
    prompts: FreshPrompts | None = None,
    **settings: object,
) -> RolloutCollector:
    rlvr = RlvrConfig(
        **{"group_size": 3, "max_completion_tokens": 6, "temperature": 1.5} | settings  # type: ignore[arg-type]
    )
    return RolloutCollector(policy, rlvr, reward, seed=5, fresh_prompts=prompts, timer=PhaseTimer())


def test_a_reward_function_alone_says_what_completions_are_worth(tiny_policy, quiz):
    reward = Counting()
    [one], tried, stats = collector(tiny_policy, reward).collect([quiz], step=7)
    lens = torch.tensor(one.sampled.completions.lens).view(4, 3)
    assert reward.steps == [7]
    assert [group.sample.id for group in reward.groups] == ["q0", "q1", "q2", "q3"]
    torch.testing.assert_close(one.rewards, lens / 4)
    torch.testing.assert_close(one.reward_parts["tokens"], lens.float())
    torch.testing.assert_close(one.reward_parts["accuracy"], (lens % 2 == 0).float())
    assert one.correct.dtype == one.parsed.dtype == torch.bool
    assert stats["sampled_tokens"] == lens.sum()
    assert tried == [one]


def test_a_reward_function_gets_completions_with_lengths_and_whether_they_ended(tiny_policy, quiz):
    reward = Counting()
    [one], _, _ = collector(tiny_policy, reward).collect([quiz], step=0)
    said = [completion for group in reward.groups for completion in group.completions]
    assert [completion.text for completion in said] == one.sampled.texts
    assert [completion.tokens for completion in said] == one.sampled.completions.lens
    assert [completion.finished for completion in said] == one.sampled.finished


def test_variance_is_that_of_the_filter_scores(tiny_policy, quiz):
    """A prompt with completions of 5 and 6 tokens earns unevenly, and is dull all the same."""
    [one], _, stats = collector(tiny_policy, Counting()).collect([quiz], step=0)
    long = torch.tensor(one.sampled.completions.lens).view(4, 3) > 4
    assert one.nonzero_std.tolist() == (long.any(1) & ~long.all(1)).tolist()
    assert one.nonzero_std.any()
    assert (~one.nonzero_std & (one.rewards.amin(1) != one.rewards.amax(1))).any()
    assert 0 <= stats["frac_reward_zero_std"] <= 1


def test_other_views_are_sampled_by_the_rewards_numbers_and_only_where_they_differ(
    tiny_policy, quiz
):
    """q0 is text: without media it is the same prompt. A completion is its number's, whatever
    was sampled before it."""
    reward, more = Counting(blind=range(3, 5)), Counting(blind=range(4, 5))
    collector(tiny_policy, reward).collect([quiz], step=0)
    collector(tiny_policy, more).collect([quiz], step=0)
    assert reward.groups[0].extra == {}
    for group, other in zip(reward.groups[1:], more.groups[1:], strict=True):
        assert len(group.extra["blind"]) == 2
        assert group.extra["blind"][1:] == other.extra["blind"]


def test_the_verifier_reward_goes_by_the_answers(tiny_policy, quiz):
    """Right in its tags 0.9 + 0.1, wrong in its tags 0.1, nothing readable nothing."""
    rlvr = RlvrConfig(group_size=3, max_completion_tokens=6, reward=RewardConfig())
    [one], _, _ = collector(tiny_policy, VerifierReward(rlvr)).collect([quiz], step=0)
    torch.testing.assert_close(
        one.rewards, 0.9 * one.correct.float() + 0.1 * one.reward_parts["format"]
    )
    assert (one.reward_parts["format"].bool() & ~one.correct).any()


def test_the_share_of_the_most_frequent_letter_is_that_among_answers_to_choices(tiny_policy, quiz):
    """Of A, C, C, nothing, B, C three in five are C; a single answer says nothing."""
    rlvr = RlvrConfig(group_size=3, max_completion_tokens=6, reward=RewardConfig())
    [one], _, _ = collector(tiny_policy, VerifierReward(rlvr)).collect([quiz], step=0)
    assert one.letters.shape == (4, 3)
    for at, sample in enumerate(quiz.samples):
        right = [sample.right[0] == "ABC"[place] for place in one.letters[at] if place >= 0]
        assert sum(right) == int(one.correct[at].sum())
    some = replace(one, letters=torch.tensor([[0, 2, 2], [-1, 1, 2]]))
    assert some.summary()["top_letter"] == pytest.approx(0.6)
    assert "top_letter" not in replace(one, letters=torch.tensor([[-1, 1, -1]])).summary()


def test_fresh_prompts_are_judged_like_the_first(tiny_policy, quiz):
    """One dull prompt is replaced by those of a refill, which the reward hears as well."""
    reward = Counting()
    prompts = {0: quiz.select([1]), 1: quiz.select([2, 3])}
    many = collector(
        tiny_policy,
        reward,
        prompts=lambda number, attempt: prompts[attempt],
        dynamic_sampling=DynamicSamplingConfig(max_batches=2),
    )
    first: Batch = replace(quiz.select([0]), step=0)
    _, tried, stats = many.collect([first], step=0)
    asked = [group.sample.id for group in reward.groups]
    assert asked == [sample.id for one in tried for sample in one.batch.samples]
    assert stats["prompts_sampled"] == len(asked)


def test_refilling_needs_somewhere_to_take_prompts_from(tiny_policy):
    with pytest.raises(AssertionError, match="needs prompts"):
        collector(tiny_policy, Counting(), dynamic_sampling=DynamicSamplingConfig(max_batches=1))


def test_a_reader_rewards_a_round_of_descriptions(tiny_policy, tiny_encoder, quiz):
    """The shipped model describes to itself: its reward is what its reader makes of it."""
    reader = Reader(
        tiny_policy,
        partial(reader_batch, tiny_encoder),
        partial(question_only_batch, tiny_encoder),
        max_tokens=8,
        prior_samples=2,
        seed=1,
    )
    reward = EvidenceReward(PrealignConfig(subtract_prior=True), reader.answers, prior=reader.prior)
    [one], _, _ = collector(tiny_policy, reward).collect([quiz], step=0)
    texts = [one.sampled.texts[start : start + 3] for start in range(0, 12, 3)]
    by_hand = reader.answers(quiz.samples, texts)
    assert one.correct.tolist() == [[verdict.correct for verdict in group] for group in by_hand]
    torch.testing.assert_close(one.reward_parts["accuracy"], one.correct.float())
    assert {*one.reward_parts} == {"accuracy", "honest", "distinct", "prior"}
    torch.testing.assert_close(one.filter_scores * one.reward_parts["distinct"], one.rewards)
    earned = (one.reward_parts["accuracy"] - one.reward_parts["prior"]).clamp(min=0)
    torch.testing.assert_close(
        one.rewards, earned * one.reward_parts["honest"] * one.reward_parts["distinct"]
    )
    assert one.reward_parts["prior"].unique(dim=1).shape[1] == 1


def test_dishonest_descriptions_leave_prompts_to_be_replaced_though_the_reader_is_right(
    tiny_policy, quiz
):
    """A reader is right where the first of three is long. All are cheats: nothing is earned, no
    prompt counts as found, and every try is made."""

    def read(samples: Sequence[Sample], texts: Texts) -> list[list[Verdict]]:
        return [
            verify_all([f"<answer>{sample.named_answer}</answer>", "", ""], [sample] * 3)
            for sample in samples
        ]

    def cheats(samples: Sequence[Sample], texts: Texts) -> list[list[bool | None]]:
        return [[False] * len(group) for group in texts]

    tries: list[int] = []

    def prompts(number: int, attempt: int) -> Batch:
        tries.append(attempt)
        return quiz.select([attempt + 1])

    reward = EvidenceReward(PrealignConfig(), read, judge=cheats)
    many = collector(
        tiny_policy, reward, prompts=prompts, dynamic_sampling=DynamicSamplingConfig(max_batches=3)
    )
    [one], _, stats = many.collect([quiz.select([0])], step=0)
    assert one.correct.tolist() == [[True, False, False]] and not one.rewards.any()
    assert tries == [0, 1, 2]
    assert stats["prompts_missing"] == 1
