"""How close a wrong answer came, against hand-worked numbers and another implementation."""

import random

import pytest
from torchmetrics.functional.text import rouge_score
from torchmetrics.functional.text import word_error_rate as reference_error_rate

from modules.verifiers.similarity import MAX_WORDS, rouge, set_f1, word_error_rate


def texts(seed: int) -> tuple[list[str], list[str]]:
    """Two texts of 1 to 30 words, out of few enough that many are shared."""
    draw = random.Random(seed)
    return tuple([draw.choice("abcdefg") for _ in range(draw.randint(1, 30))] for _ in "pr")


@pytest.mark.parametrize("seed", range(50))
def test_rouge_is_that_of_torchmetrics(seed):
    prediction, reference = texts(seed)
    names = ("rouge1", "rouge2", "rougeL")
    expected = rouge_score(" ".join(prediction), " ".join(reference), rouge_keys=names)
    mean = sum(float(expected[f"{name}_fmeasure"]) for name in names) / 3
    assert rouge(prediction, reference) == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("seed", range(50))
def test_the_error_rate_is_that_of_torchmetrics(seed):
    prediction, reference = texts(seed)
    expected = float(reference_error_rate(" ".join(prediction), " ".join(reference)))
    assert word_error_rate(prediction, reference) == pytest.approx(expected, abs=1e-6)


def test_rouge_by_hand():
    """ "b a c" for "a b c d e": 3 words shared of 3 + 5, no pair, 2 of them in order."""
    assert rouge(["b", "a", "c"], list("abcde")) == pytest.approx((6 / 8 + 0 + 4 / 8) / 3)


def test_repeating_a_word_earns_it_once():
    """1 word shared of 4 + 2, and 1 in order."""
    assert rouge(["a"] * 4, ["a", "b"]) == pytest.approx((2 / 6 + 0 + 2 / 6) / 3)


def test_one_word_has_no_pairs():
    assert rouge(["a"], ["a"]) == pytest.approx(2 / 3)


def test_nothing_is_like_nothing_else():
    assert rouge([], ["a"]) == rouge(["a"], []) == rouge([], []) == 0
    assert (word_error_rate([], ["a", "b"]), word_error_rate(["a"], [])) == (1, 1)
    assert word_error_rate([], []) == 0
    assert set_f1(set(), set()) == set_f1({"a"}, set()) == 0


def test_the_error_rate_by_hand():
    """ "a x c d e" for "a b c": one word changed, two too many."""
    assert word_error_rate(list("axcde"), list("abc")) == 1


def test_missing_and_superfluous_items_weigh_alike():
    """One shared of 1 + 3, and of 2 + 3."""
    assert set_f1({"a"}, {"a", "b", "c"}) == set_f1({"a", "b", "c"}, {"a"}) == 0.5
    assert set_f1({"a", "x"}, {"a", "b", "c"}) == 0.4


def test_words_beyond_the_limit_count_as_wrong():
    """Ten words too many; of a reference as long, its last ten are not found."""
    limit = [str(number) for number in range(MAX_WORDS)]
    longer = limit + ["x"] * 10
    assert word_error_rate(longer, limit) == 10 / MAX_WORDS
    assert word_error_rate(longer, longer) == 10 / (MAX_WORDS + 10)
    assert 0.9 < rouge(longer, longer) < 1
