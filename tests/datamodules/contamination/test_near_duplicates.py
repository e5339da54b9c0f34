"""Wordings that are nearly alike: by hand, and as comparing each with each finds them."""

import random

import pytest

from datamodules.contamination.near_duplicates import NearDuplicate, grams, near_duplicates


def test_grams_do_not_cross_lines():
    assert grams("Who barks THERE?\nA dog") == {("who", "barks", "there"), ("a", "dog")}


def test_two_grams_of_four_in_common_are_half_alike():
    """abc and bcd are in both, cde and cdf in one each."""
    train, test = ["x y z", "a b c d e"], ["q r s", "A, b; c d F!"]
    assert near_duplicates(train, test, 0.5) == [NearDuplicate(test=1, train=1, similarity=0.5)]
    assert near_duplicates(train, test, 0.51) == []


def test_the_order_of_options_does_not_matter():
    [found] = near_duplicates(["Who is it?\na dog\na cat"], ["who is it\na cat\na dog"])
    assert found.similarity == 1


def test_the_first_of_several_is_named():
    train = ["a b c d e f g", "a b c d e f h", "a b c d e f g"]
    assert near_duplicates(train, ["a b c d e f g"], 0.6)[0].train == 0
    assert near_duplicates(train[1:], ["a b c d e f g"], 0.6)[0] == NearDuplicate(
        test=0, train=0, similarity=4 / 6
    )


def test_texts_without_words_are_like_nothing():
    assert near_duplicates(["", "?!"], ["", "?!"]) == []
    assert near_duplicates([], ["a b c"]) == [] and near_duplicates(["a b c"], []) == []


@pytest.mark.parametrize("threshold", [0.34, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("words", [3, 12])
def test_nothing_is_missed_and_nothing_made_up(threshold, words):
    """Few words make much alike, many make little."""
    rng = random.Random(words)
    alphabet = "abcdefghijkl"[:words]

    def text() -> str:
        lines = (" ".join(rng.choices(alphabet, k=rng.randint(0, 9))) for _ in range(2))
        return "\n".join(lines)

    train, test = [text() for _ in range(120)], [text() for _ in range(60)]
    test[::7] = train[: len(test[::7])]
    expected = []
    for place, one in enumerate(map(grams, test)):
        for other_place, other in enumerate(map(grams, train)):
            if one and other and len(one & other) / len(one | other) >= threshold:
                similarity = len(one & other) / len(one | other)
                expected.append(NearDuplicate(test=place, train=other_place, similarity=similarity))
                break
    assert near_duplicates(train, test, threshold) == expected
    assert len(expected) >= 9
