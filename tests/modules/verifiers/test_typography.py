"""Which marks make another answer, and which are only another way of typing it."""

import random
import time

import pytest

from modules.verifiers.typography import normalize, typed, without_article
from modules.verifiers.verify import verify
from tests.golden_choices import golden_sample
from tests.golden_texts import DIFFERENT, SAME

MARKS = "ab 1,.;:!?\"'()[]{}*_-+=<>%°√x∞`$#é中"


def right(said: str, meant: str) -> bool:
    return verify(f"<answer>{said}</answer>", sample=golden_sample("text", meant)).correct


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_ways_of_typing_an_answer_are_one_answer(one, other):
    assert right(one, other) and right(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_answers_are_told_apart(one, other):
    assert not right(one, other) and not right(other, one)


def test_the_tables_are_long_and_list_nothing_twice():
    assert len(SAME) >= 90 and len(DIFFERENT) >= 110
    assert len({frozenset(pair) for pair in SAME + DIFFERENT}) == len(SAME + DIFFERENT)


@pytest.mark.parametrize("text", sorted({text for pair in SAME + DIFFERENT for text in pair}))
@pytest.mark.parametrize("kind", ["text", "ocr"])
def test_what_is_imitated_is_right(kind, text):
    sample = golden_sample(kind, text.strip())
    assert verify(f"<answer>{text.strip()}</answer>", sample=sample).correct


def test_what_is_imitated_is_right_whatever_it_looks_like():
    dice = random.Random(4)
    for _ in range(2000):
        text = "".join(dice.choices([*MARKS, "<answer>", "</answer>", "<think>", "</think>"], k=9))
        sample = golden_sample("text", f"{text}z".strip())
        assert verify(f"<answer>{sample.answer}</answer>", sample=sample).correct


def test_what_is_written_there_is_read_with_its_article():
    sample = golden_sample("ocr", "EXIT")
    assert not verify("<answer>the exit</answer>", sample=sample).correct


def test_words_that_are_asked_for_as_they_come_need_no_tags():
    """Where a completion is the answer itself, nothing asked for tags."""
    sample = golden_sample("text", "It barks, and then \\boxed{nothing}.")
    free = type(sample)(**{**vars(sample), "completion": sample.answer})
    assert verify(sample.answer, sample=free).correct
    assert not verify("It barks.", sample=golden_sample("text", "It barks.")).parsed
    assert verify("<answer>It barks and then \\boxed{nothing}</answer>", sample=free).correct
    other = verify("It purrs.", sample=free)
    assert other.parsed and not other.correct and 0 < other.score < 1


def test_an_article_is_taken_off_words_only():
    assert without_article("the dog") == without_article("an dog") == "dog"
    for kept in ("a", "the", "a b", "a 4", "the who", "a few dogs", "theater", ""):
        assert without_article(kept) == kept


def test_only_marks_and_case_are_lost():
    """Letters, digits and symbols are in what is left, in their order."""
    dice = random.Random(5)
    for _ in range(5000):
        text = "".join(dice.choices(MARKS, k=dice.randint(0, 12)))
        before, after = (
            [mark for mark in read(text).casefold() if mark.isalnum() or mark in "+%°√∞#"]
            for read in (typed, normalize)
        )
        assert before == after


@pytest.mark.parametrize(
    "pattern",
    [
        *("1 + ", "3!", "(", "()", "(1,2)", "'5", "*", "- ", "1,", "1,234", "x_", '"', "-x "),
        *("5 % ", "(1+(", "[(", "w-", ": 1", "1 : ", "a. ", "the ", " ,", "--"),
    ],
)
def test_repeated_marks_cost_no_more_than_reading_them(pattern):
    """All of 32 kB takes tens of milliseconds; a quadratic reading would take minutes."""
    start = time.process_time()
    normalize((pattern * 40_000)[:32_768])
    assert time.process_time() - start < 1.5
