"""Answers and option scores: which are correct, and which draw belongs to which answer."""

import pytest
import torch

from datamodules.batch import Completions, OptionScoring
from modules.grading import OptionScores, answer, score
from modules.policy.sampling import Sampling
from tests.conftest import make_sample


def scores(*logprobs: tuple[float, ...]) -> OptionScores:
    return OptionScores(sample=make_sample(), logprobs=logprobs)


def test_the_likeliest_option_is_the_answer():
    """Right is B: it leads in the first order only."""
    assert scores((-3.0, -1.0, -2.0), (-0.5, -1.0, -2.0)).correct == (True, False)


def test_a_tie_is_wrong():
    assert (
        scores((-1.0, -1.0, -2.0), (-2.0, -1.0, -1.0), (-9.0, -9.0, -9.0)).correct == (False,) * 3
    )


def two_orders(ragged) -> OptionScoring:
    """The text question of `ragged` as written, and turned so that C, A, B are shown."""
    branches = [[[30, 31], [32], [33, 34, 35]], [[33, 34, 35], [30, 31], [32]]]
    return OptionScoring(
        samples=ragged.samples[3:],
        batch=ragged,
        completions=Completions.forked([[40], [40]], branches, [3, 3]),
        question=[0, 0],
        options=[(0, 1, 2), (2, 0, 1)],
    )


def test_scores_are_summed_and_numbered_as_written(policy, ragged):
    """The same three answers in both orders: 2, 1 and 3 tokens behind a trunk of one."""
    (found,) = score(policy, two_orders(ragged))
    assert found.logprobs[0] == pytest.approx(found.logprobs[1], rel=1e-5)
    alone = Completions.of([[40, 30, 31], [40, 32], [40, 33, 34, 35]], [3, 3, 3])
    expected = policy.logprobs(ragged, alone)[:, 1:].sum(1).tolist()
    assert found.logprobs[0] == pytest.approx(expected, rel=1e-5)


def test_broken_weights_are_told_instead_of_scored(policy, ragged):
    with torch.no_grad():
        policy.backbone.head.weight[200] = float("nan")
    with pytest.raises(ValueError, match=r"logits are infinite or NaN whichever prompt .*s3"):
        score(policy, two_orders(ragged))


def test_later_answers_are_those_of_a_longer_series(policy, ragged):
    """Five answers at once are two and then three."""

    def said(count: int, first: int) -> list[list[str]]:
        sampling = Sampling(group_size=count, max_tokens=6)
        asked = answer(policy, ragged, sampling, seed=7, first=first)
        return [list(answers.completions) for answers in asked]

    split = [one + other for one, other in zip(said(2, 0), said(3, 2), strict=True)]
    assert split == said(5, 0)
    assert len({text for texts in split for text in texts}) > 10
