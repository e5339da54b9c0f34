"""Chance: exact tails, false discoveries, intervals, and when it is pointless to ask on."""

from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest

from datamodules.contribution.calibration import (
    benjamini_hochberg,
    calibrated_tests,
    combination_interval,
    guesser_share,
    is_decided_calibrated,
    jaccard,
    lower_tail,
    upper_tail,
    wilson,
)
from datamodules.contribution.decide import (
    BANDS,
    Counts,
    QuestionFeatures,
    apply_rule,
    is_decided,
)
from datamodules.contribution.presets import PRESETS, CalibratedRule, Vote, Voter, queries


def exact(k, n, p):
    """P(X >= k) as a fraction."""
    p = Fraction(p)
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def rule(answers, **numbers):
    return CalibratedRule(
        name="calibrated", condition="text_only", how="absent", answers=answers, **numbers
    )


@pytest.mark.parametrize("chance", ["1/4", "1/5", "1/2", "3/5"])
def test_tails_are_those_of_exact_fractions(chance):
    for n, k in [(16, 0), (16, 1), (16, 8), (16, 16), (3, 2), (1, 0), (1, 1)]:
        p = np.array([float(Fraction(chance))])
        above, below = np.array([k]), np.array([n])
        assert upper_tail(above, below, p)[0] == pytest.approx(float(exact(k, n, chance)))
        assert lower_tail(above, below, p)[0] == pytest.approx(float(1 - exact(k + 1, n, chance)))


@pytest.mark.parametrize(
    ("k", "n", "chance", "above", "below"),
    [
        (0, 0, 0.25, 1, 1),  # nothing asked says nothing
        (0, 5, 0.0, 1, 1),
        (2, 5, 0.0, 0, 1),  # who cannot guess knew
        (5, 5, 1.0, 1, 1),
        (4, 5, 1.0, 1, 0),  # who cannot fail did
    ],
)
def test_tails_hold_where_chance_is_none_or_certain(k, n, chance, above, below):
    counts = np.array([k]), np.array([n]), np.array([chance])
    assert (upper_tail(*counts)[0], lower_tail(*counts)[0]) == (above, below)


@pytest.mark.parametrize(
    ("options", "at_5_percent", "at_1_percent"),
    [(4, 8, 9), (5, 7, 8), (6, 6, 8), (2, 12, 14), (10, 5, 6)],
)
def test_sixteen_answers_beat_chance_from_so_many_right_ones(options, at_5_percent, at_1_percent):
    k = np.arange(17)
    tails = upper_tail(k, np.full(17, 16), np.full(17, 1 / options))
    assert [int(k[tails < level][0]) for level in (0.05, 0.01)] == [at_5_percent, at_1_percent]


def test_false_discoveries_are_bounded_by_the_largest_rank_that_passes():
    """Limits are 0.0125, 0.025, 0.0375, 0.05: the second fails its own, the third carries it."""
    p = np.array([0.9, 0.03, 0.01, 0.031])
    assert benjamini_hochberg(p, 0.05).tolist() == [False, True, True, True]
    assert benjamini_hochberg(p[[0, 1]], 0.05).tolist() == [False, False]  # limits 0.025 and 0.05
    assert benjamini_hochberg(p[:0], 0.05).tolist() == []


def test_of_guessers_few_are_called_knowing_however_many_there_are():
    """All of 5,000 guess among 4: any discovery is false, and in 19 of 20 draws there is none."""
    rng = np.random.default_rng(1)
    n, chance = np.full(5000, 16), np.full(5000, 0.25)
    false = [
        calibrated_tests(rule(16), rng.binomial(16, 0.25, 5000), n, chance)[0] for _ in range(100)
    ]
    assert sum(one.any() for one in false) <= 12  # 5 expected; P(X > 12) < 0.002
    assert np.mean(false) < 1e-4


def test_knowing_half_is_the_border_to_needing_the_media():
    """Chance 0.2, margin 0.5: p1 = 0.6. P(X <= 2 | 10, 0.6) = 0.0123, P(X <= 3) = 0.0548;
    P(X >= 5 | 10, 0.2) = 0.0328, P(X >= 4) = 0.1209. One at a time, so each limit is 0.05."""
    bands = {}
    for k in range(11):
        above, short, _ = calibrated_tests(rule(10), np.array([k]), np.array([10]), np.array([0.2]))
        bands[k] = "weak" if above[0] else "strong" if short[0] else "undetermined"
    assert [k for k in bands if bands[k] == "strong"] == [0, 1, 2]
    assert [k for k in bands if bands[k] == "undetermined"] == [3, 4]


def test_a_wider_margin_makes_more_strong():
    """P(X <= 4 | 10, 0.84) < 0.05 where margin 0.8 puts p1 at 0.2 + 0.8 * 0.8."""
    counts = np.array([4]), np.array([10]), np.array([0.2])
    assert not calibrated_tests(rule(10), *counts)[1][0]
    assert calibrated_tests(rule(10, margin=0.8), *counts)[1][0]


def test_what_a_guesser_always_knows_shows_nothing():
    above, short, lacking = calibrated_tests(rule(4), np.array([0]), np.array([4]), np.array([1.0]))
    assert not (above[0] or short[0] or lacking[0])


def test_unasked_questions_do_not_count_among_the_tests():
    """p = 0.0328 passes alone; beside a second question, asked and hopeless, its limit is 0.025."""
    k, chance = np.array([5, 0]), np.array([0.2, 0.2])
    assert calibrated_tests(rule(10), k, np.array([10, 0]), chance)[0].tolist() == [True, False]
    assert calibrated_tests(rule(10), k, np.array([10, 10]), chance)[0].tolist() == [False, False]


def test_sure_holds_in_every_world_that_can_still_be():
    """Enumerate all ways in which three questions of a few answers each may be answered on; those
    never asked may also stay away."""
    rng = np.random.default_rng(3)
    found = total = 0
    for _ in range(150):
        most = int(rng.integers(1, 5))
        judge = rule(most, alpha=float(rng.choice([0.1, 0.3, 0.6])), margin=0.6)
        n = rng.integers(0, most + 1, 3)
        k = rng.binomial(n, 0.5)
        chance = rng.choice([0.1, 0.3, 0.5, 0.9], 3)
        stays = is_decided_calibrated(judge, k, n, chance)
        worlds = set()
        for final in product(*[{int(one), most} for one in n]):
            for extra in product(*[range(f - int(o) + 1) for f, o in zip(final, n, strict=True)]):
                above, short, _ = calibrated_tests(judge, k + extra, np.array(final), chance)
                worlds.add(tuple(np.where(above, 1, np.where(short, 2, 3))[stays].tolist()))
        assert len(worlds) == 1
        found += int((stays & (n < most)).sum())
        total += int((n < most).sum())
    assert 0.05 < found / total < 0.9  # neither empty nor trivial


def test_a_question_that_no_answer_can_move_is_sure_before_its_last():
    """One is to come of 16, at chance 0.25 and p1 = 0.625. P(X <= 6) = 0.037 and P(X <= 7) = 0.100,
    P(X >= 7) = 0.080 and P(X >= 8) = 0.027: what has 6 may end short or not, what has 7 above."""
    chance = np.array([0.25])
    stays = [
        is_decided_calibrated(rule(16), np.array([k]), np.array([15]), chance)[0] for k in range(16)
    ]
    assert [k for k in range(16) if not stays[k]] == [6, 7]


def test_a_question_that_can_be_neither_is_sure_to_be_undetermined():
    """One is to come of 10, at chance 0.2 and p1 = 0.6: P(X <= 3) = 0.055, P(X >= 4) = 0.121."""
    counts = np.array([3]), np.array([9]), np.array([0.2])
    above, short, lacking = calibrated_tests(rule(10), *counts)
    assert is_decided_calibrated(rule(10), *counts)[0] and not (above[0] or short[0] or lacking[0])


def test_wilson_by_hand():
    """8 of 10 at 95 %, z = 1.96: (8 + 1.921) / 13.842 = 0.7167, half 0.2265."""
    found = wilson(np.array([8, 0, 3]), np.array([10, 0, 3]), 0.95)
    assert found.low[0] == pytest.approx(0.4902, abs=1e-4)
    assert found.high[0] == pytest.approx(0.9433, abs=1e-4)
    assert np.isnan([part[1] for part in found]).all()
    assert found.high[2] == 1


def test_newcombe_gives_his_own_example():
    """Newcombe (1998), method 10: 56/70 - 48/80 = 0.2 with (0.0524, 0.3339)."""
    found = combination_interval(
        np.array([1.0, -1.0]), np.array([[56], [48]]), np.array([[70], [80]]), 0.95
    )
    assert found.estimate[0] == pytest.approx(0.2)
    assert found.low[0] == pytest.approx(0.0524, abs=1e-4)
    assert found.high[0] == pytest.approx(0.3339, abs=1e-4)


def test_an_interval_of_one_term_is_wilsons_and_negated_its_mirror():
    k, n = np.array([[3]]), np.array([[16]])
    alone, mirrored = (combination_interval(np.array([c]), k, n, 0.9) for c in (1.0, -1.0))
    assert alone.low[0] == pytest.approx(wilson(k[0], n[0], 0.9).low[0])
    assert (mirrored.low[0], mirrored.high[0]) == (-alone.high[0], -alone.low[0])


def test_a_term_without_weight_need_not_be_asked():
    weights = np.array([[1.0, 1.0], [0.0, -1.0]])
    k, n = np.array([[2, 2], [0, 0]]), np.array([[4, 4], [0, 0]])
    found = combination_interval(weights, k, n, 0.95)
    assert found.estimate[0] == 0.5
    assert np.isnan(found.estimate[1]) and np.isnan(found.low[1])


def test_intervals_of_a_combination_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(5)
    weights, p = np.array([0.5, -0.5, 1.0, -1.0]), np.array([0.9, 0.1, 0.6, 0.3])
    k = rng.binomial(16, p[:, None], (4, 20_000))
    found = combination_interval(weights, k, np.full(k.shape, 16), 0.95)
    truth = weights @ p
    assert 0.94 < np.mean((found.low <= truth) & (truth <= found.high)) < 0.97


@pytest.mark.parametrize(
    ("name", "options", "share"),
    [
        ("omniclean", 4, 0.990),  # 1 - 0.75^16
        ("omniclean", 5, 0.972),
        ("omniclean", 6, 0.946),
        ("omniclean", 2, 1.000),
        ("vidground", 4, 0.250),
        ("audiomcq", 4, 10 / 64),  # 3 * 3/64 + 1/64
        ("audiomcq", 10, 0.028),  # 3 * 0.01 * 0.9 + 0.001
        ("vidground_m1", 4, 82 / 4096),  # voters 1/4, 1/16 and 1/64: 63 + 15 + 3 + 1
        ("calibrated", 4, 0.0271),  # P(X >= 8 | 16, 1/4)
    ],
)
def test_a_guesser_makes_this_share_look_weak(name, options, share):
    assert guesser_share(PRESETS[name], 1 / options) == pytest.approx(share, abs=5e-4)


def test_soft_calls_few_guessers_weak():
    """P(X >= 9 | 16, 1/4) = 0.0075 is the first at most 0.025; full rarely does so much better."""
    assert 0.006 < guesser_share(PRESETS["soft"], 0.25) <= 0.0075


def test_a_guesser_without_a_chance_between_0_and_1_is_refused():
    with pytest.raises(ValueError, match=r"chance is 4, but is a share.*give 0\.25"):
        guesser_share(PRESETS["vidground"], 4)


def test_two_filters_of_vidground_agree_as_published():
    """2604.05117: 181,710 and 198,652 of 263,071 kept, 154,860 by both: Jaccard 68.7 %."""
    place = np.arange(263_071)
    first, second = place < 181_710, place >= 181_710 - 154_860
    second &= place < 181_710 - 154_860 + 198_652
    assert jaccard(first, second) == pytest.approx(0.687, abs=5e-4)


def test_two_empty_choices_agree():
    nothing = np.zeros(3, dtype=bool)
    assert jaccard(nothing, nothing) == 1
    assert jaccard(nothing, ~nothing) == 0


K_OF_N = Voter(choice=Vote(answers=8, needed=3), open=Vote(answers=5, needed=4))
RULES = [
    replace(PRESETS["omniclean"], min_questions=3),
    PRESETS["audiomcq"],
    PRESETS["vidground_m1"],
    replace(PRESETS["vidground"], voters=(K_OF_N,)),
    replace(PRESETS["calibrated"], min_questions=3),
    replace(PRESETS["calibrated"], alpha=0.2, margin=0.7, answers=10),
    replace(PRESETS["soft"], answers=6),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_stopping_at_what_is_settled_gives_the_bands_of_all_answers(rule):
    """In rounds of two, of questions by 4 levels of knowledge and 4 of chance, some undefined and
    some never asked; 150 draws of 3 to 60 questions."""
    spared = 0
    seen = set()
    for seed in range(150):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(3, 61))
        about = QuestionFeatures(
            chance=rng.choice([0.1, 0.25, 0.5, 1.0], count, p=[0.3, 0.4, 0.25, 0.05]),
            closed=rng.random(count) < 0.7,
            source=rng.choice(["a", "b", "c"], count, p=[0.6, 0.3, 0.1]),
            undefined=np.where(rng.random(count) < 0.1, "why", ""),
        )
        knows = rng.choice([0.0, 0.3, 0.7, 1.0], count)
        reached = rng.random(count) < (1 if seed % 2 else 0.9)
        votes = [
            np.where(about.closed, query.choice.total, query.open.total) * reached
            for query in queries(rule)
        ]
        right = [rng.random((count, 16)) < knows[:, None] for _ in votes]

        def upto(n, right=right):
            known = [
                draws & (np.arange(16) < k[:, None]) for draws, k in zip(right, n, strict=True)
            ]
            sums = [one.sum(axis=1) for one in known]
            return [Counts(n=k, n_correct=s) for k, s in zip(n, sums, strict=True)]

        asked = [np.zeros(count, dtype=np.int64) for _ in votes]
        for _ in range(8):
            going = ~is_decided(rule, upto(asked), about)
            asked = [np.minimum(n + 2 * going, most) for n, most in zip(asked, votes, strict=True)]
        stopped, full = apply_rule(rule, upto(asked), about), apply_rule(rule, upto(votes), about)
        assert stopped.tolist() == full.tolist(), seed
        spared += sum(int((most - n).sum()) for n, most in zip(asked, votes, strict=True))
        seen |= set(full.tolist())
    assert {"undefined", "missing"} <= seen <= set(BANDS)
    assert ("unstable" in seen) is (rule.min_questions > 0)
    assert spared > 0
