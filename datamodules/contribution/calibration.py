"""Exact tests of answers against a question's chance level, and intervals of proportions.

Guessing is right now and then, which the binomial tail accounts for; of many guessers some are
right often, which the bound on false discoveries accounts for.

The tests assume that each answer is guessed anew. A model that always gives the same answer, or the
same letter, looks as if it knew where that happens to be right. Repeating the question does not
tell the two apart; asking under several orders of the options reveals a preferred letter.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, ndtri

from datamodules.contribution.presets import CalibratedRule, Rule, SoftRule, VotingRule

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Intervals(NamedTuple):
    """Estimates with their intervals, one entry for each question; NaN where nothing was asked."""

    estimate: Floats
    low: Floats
    high: Floats


def upper_tail(n_correct: Ints, n: Ints, chance: Floats) -> Floats:
    """Return P(X >= n_correct), X ~ Binomial(n, chance): how often guessing does as well."""
    tail: Floats = bdtrc(n_correct - 1.0, n, chance)
    return tail


def lower_tail(n_correct: Ints, n: Ints, chance: Floats) -> Floats:
    """Return P(X <= n_correct), X ~ Binomial(n, chance)."""
    tail: Floats = bdtr(n_correct.astype(np.float64), n, chance)
    return tail


def benjamini_hochberg(p_values: Floats, alpha: float) -> Bools:
    """Reject by Benjamini and Hochberg (1995): on average at most `alpha` of them falsely.

    p_i <= alpha r / m,  r the largest number with at least r p-values at or below that

    Written out because scipy's `false_discovery_control` rounds otherwise at the limit itself.
    """
    ranked = np.sort(p_values)
    limits = alpha * np.arange(1, len(ranked) + 1) / max(len(ranked), 1)
    passing = np.flatnonzero(ranked <= limits)
    limit = ranked[passing[-1]] if len(passing) else -np.inf
    return p_values <= limit


def p_values(n_correct: Ints, n: Ints, chance: Floats, margin: float) -> tuple[Floats, Floats]:
    """Test both ways: is success above chance; is it below `chance + margin * (1 - chance)`?

    Where chance is 1 every guess is right, and neither can be shown.
    """
    knowing = chance + margin * (1 - chance)
    short = np.where(chance < 1, lower_tail(n_correct, n, knowing), 1.0)
    return upper_tail(n_correct, n, chance), short


def calibrated_tests(
    rule: CalibratedRule, n_correct: Ints, n: Ints, chance: Floats
) -> tuple[Bools, Bools, Bools]:
    """Mark the questions above chance, those well below knowing, and those with too few answers.

    Each test is corrected by itself, over the questions that were asked. A question can pass both:
    answered more often than by guessing, less often than by knowing.
    """
    asked = n > 0
    tests = np.zeros((2, len(n)), dtype=np.bool_)
    for test, p in zip(tests, p_values(n_correct, n, chance, rule.margin), strict=True):
        test[asked] = benjamini_hochberg(p[asked], rule.alpha)
    lacking = n < rule.answers
    if (lacking & asked).any():
        lacking &= ~is_decided_calibrated(rule, n_correct, n, chance)
    return tests[0], tests[1], lacking


def is_decided_calibrated(rule: CalibratedRule, n_correct: Ints, n: Ints, chance: Floats) -> Bools:
    """Mark the questions whose band no further answers can change.

    Lowering p-values never takes a rejection back, so two extremes bound all outcomes: every answer
    to come is right, or every one is wrong. What is rejected in the worse extreme of a test is
    rejected in all outcomes; what is not rejected in the better one is rejected in none. Questions
    that were never asked may be asked or not: not asking is better than p = 1, and no better than p
    = 0.

    Stopping there changes nothing for other questions: the limit of Benjamini and Hochberg depends
    on the number of p-values on either side of it, not on their distance.
    """
    more = np.maximum(rule.answers - n, 0)
    above, short = p_values(n_correct + more, n + more, chance, rule.margin)  # all right
    above_worst, short_best = p_values(n_correct, n + more, chance, rule.margin)  # all wrong
    asked = n > 0
    is_weak = benjamini_hochberg(above_worst, rule.alpha)
    not_weak = ~benjamini_hochberg(np.where(asked, above, 0.0), rule.alpha)
    is_short = benjamini_hochberg(short, rule.alpha)
    not_short = ~benjamini_hochberg(np.where(asked, short_best, 0.0), rule.alpha)
    return asked & (is_weak | (not_weak & (is_short | not_short)))


def wilson(n_correct: Ints | Floats, n: Ints | Floats, confidence: float) -> Intervals:
    """Bound a proportion by Wilson's score interval; NaN where there are no answers."""
    z = float(ndtri((1 + confidence) / 2))
    asked = np.where(n > 0, n, np.nan)
    estimate = n_correct / asked
    middle = (n_correct + z**2 / 2) / (asked + z**2)
    half = z / (asked + z**2) * np.sqrt(asked * estimate * (1 - estimate) + z**2 / 4)
    low, high = np.minimum(middle - half, estimate), np.maximum(middle + half, estimate)
    return Intervals(estimate, np.maximum(low, 0.0), np.minimum(high, 1.0))


def combination_interval(
    coefficients: Floats, n_correct: Ints, n: Ints, confidence: float
) -> Intervals:
    """Bound Σ_m c_m p_m, a sum of independent proportions, by MOVER (Zou and Donner 2008).

        low  = Σ c p - √(Σ_{c>0} c² (p - l)² + Σ_{c<0} c² (u - p)²)
        high = Σ c p + √(Σ_{c>0} c² (u - p)² + Σ_{c<0} c² (p - l)²)

    with Wilson's (l, u) of each p; for coefficients (1, -1) this is Newcombe's hybrid score
    interval of a difference. Unlike a normal interval it has a width where all answers are right.

    Shapes: coefficients (M,) or (M, N); n_correct, n (M, N) -> (N,) each

    A proportion whose coefficient is 0 need not have been asked.
    """
    weights = np.broadcast_to(coefficients.reshape(len(n), -1), n.shape)  # (M, N)
    used = weights != 0
    bounds = wilson(n_correct, n, confidence)
    p, low, high = (np.where(used, bound, 0.0) for bound in bounds)  # (M, N)
    estimate = (weights * p).sum(axis=0)  # (N,)
    rising = weights > 0
    below = weights * np.where(rising, p - low, high - p)
    above = weights * np.where(rising, high - p, p - low)
    spread = np.sqrt((below**2).sum(axis=0)), np.sqrt((above**2).sum(axis=0))
    return Intervals(estimate, estimate - spread[0], estimate + spread[1])


def soft_tests(
    rule: SoftRule, n_correct: tuple[Ints, Ints], n: tuple[Ints, Ints], chance: Floats
) -> tuple[Bools, Bools]:
    """Mark the questions surely above chance without their media, and those surely helped by them.

    Args:
        n_correct: with everything, and without what is withheld; so is `n`.
    """
    difference = combination_interval(
        np.array([1.0, -1.0]), np.stack(n_correct), np.stack(n), rule.confidence
    )
    above = (
        upper_tail(n_correct[1], n[1], chance) <= (1 - rule.confidence) / 2
    )  # as of the interval
    return above, difference.low > 0


def guesser_share(rule: Rule, chance: float, *, closed: bool = True) -> float:
    """Return the share of questions that a rule would call weak if all answers were guessed.

    Only what a rule calls weak beyond this share shows more than guessing. For `calibrated` it
    leaves the correction for many tests out, and hence is an upper bound.

    Args:
        closed: whether the questions have options; some voters are asked otherwise without.
    """
    if not 0 <= chance <= 1:
        raise ValueError(
            f"chance is {chance}, but is a share from 0 to 1: among 4 options give 0.25."
        )
    if isinstance(rule, VotingRule):
        votes = np.ones(1)  # probability of 0, 1, ... voters that say weak
        for vote in (voter.choice if closed else voter.open for voter in rule.voters):
            says = float(bdtrc(vote.needed - 1.0, vote.total, chance))
            votes = np.convolve(votes, [1 - says, says])
        return float(votes[rule.votes_needed :].sum())
    right = np.arange(rule.answers + 1)
    tails = upper_tail(right, np.full_like(right, rule.answers), np.full(right.shape, chance))
    if isinstance(rule, CalibratedRule):
        return float(tails[tails <= rule.alpha].max(initial=0))
    full, ablated = np.meshgrid(right, right)
    pairs = full.ravel(), ablated.ravel()
    n = np.full_like(pairs[0], rule.answers)
    above, strong = soft_tests(rule, pairs, (n, n), np.full(n.shape, chance))
    probability = -np.diff(tails, append=0.0)
    return float((probability[pairs[0]] * probability[pairs[1]])[above & ~strong].sum())


def jaccard(a: Bools, b: Bools) -> float:
    """Return the Jaccard index of two selections: questions in both over questions in either."""
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0
