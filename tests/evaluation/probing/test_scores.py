"""What a probe says of its score: an interval by asset, and blind choices beside it."""

import numpy as np
import pytest

from datamodules.contribution.decide import Counts
from evaluation.probing.scores import blind_scores, right_percent
from evaluation.statistics.intervals import mean_interval
from tests.conftest import make_sample


def counts(n: list[int], right: list[int]) -> Counts:
    return Counts(n=np.array(n), n_correct=np.array(right))


def test_a_share_has_the_interval_of_the_questions_that_were_asked():
    """Six of seven assets were asked twice: 2, 1, 0, 2, 2 and 1 right answers are 8 of 12."""
    samples = [make_sample(name) for name in "abcdefg"]
    told = right_percent(counts([2, 2, 2, 0, 2, 2, 2], [2, 1, 0, 0, 2, 2, 1]), samples)
    whole = mean_interval([1, 0.5, 0, 1, 1, 0.5], list("abcefg"), confidence=0.95)
    assert told.startswith("66.7 [")
    low, high = map(float, told[6:-1].split(","))
    assert (low, high) == pytest.approx((100 * whole.low, 100 * whole.high), abs=0.1)


def test_questions_that_were_asked_unequally_often_have_no_interval():
    """A right answer may have ended the asking: 3 of 8."""
    assert right_percent(counts([4, 4], [1, 2]), [make_sample(), make_sample("b")])[:5] == "37.5 "
    assert right_percent(counts([1, 7], [1, 2]), [make_sample(), make_sample("b")]) == "37.5"
    assert right_percent(counts([0], [0]), [make_sample()]) == "0.0"


def test_blind_choices_are_counted_over_questions_with_options():
    """Of 3, 8 and 5 one in three is as long as any; `B` is right twice, and `A` once."""
    samples = [make_sample(), make_sample("b"), make_sample("c", answer="A")]
    told = blind_scores([*samples, make_sample("d", options=(), answer="7", answer_type="number")])
    assert told.endswith("of the 3 questions with options: the first one 33.3, the longest 33.3.")
    assert "No question has options" in blind_scores([])
