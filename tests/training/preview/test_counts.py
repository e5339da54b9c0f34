"""Counts over hand-made questions."""

from dataclasses import asdict, replace

import pytest

from datamodules.sample import Media
from tests.conftest import make_sample
from training.preview.counts import AnswerRow, Duplicates, count_answers, find_duplicates

SEEN = (Media(modality="image", path="1.png"),)


def number(name: str, answer: str):
    return make_sample(name, options=(), answer=answer, answer_type="number")


def test_the_most_frequent_answer_of_each_type_is_named_with_its_score():
    """Of five choices B is right to three, C to one, and either A or C to the one whose options
    repeat: chance is 1/3 of four and 2/3 of one, 2/5 in all. Two of three numbers are 7."""
    choices = [make_sample(answer=letter) for letter in "BBCB"]
    choices.append(make_sample(options=("3", "8", "3"), answer="A"))
    rows = count_answers([*choices, number("a", "7"), number("b", "7"), number("c", "2")])
    first = asdict(rows[0])
    assert first.pop("chance") == pytest.approx(0.4)
    assert first == {
        "answer_type": "choice",
        "questions": 5,
        "distinct": 3,
        "answer": "B",
        "right": 3,
    }
    assert rows[1] == AnswerRow(
        answer_type="number", questions=3, distinct=2, answer="7", right=2, chance=None
    )
    assert [row.majority for row in rows] == [True, True]


def test_options_are_counted_as_the_model_names_them():
    named = [
        make_sample(options=("x", "y"), answer="A", answer_with="text"),
        make_sample(options=("y", "x"), answer="B", answer_with="text"),
    ]
    [row] = count_answers(named)
    assert (row.answer, row.right, row.distinct) == ("x", 2, 1)


def test_of_two_answers_the_more_frequent_one_is_no_majority_yet():
    """5 of 9 are above half, as one of two answers nearly always is, and below 0.6."""
    [row] = count_answers([number(str(n), "7" if n < 5 else "2") for n in range(9)])
    assert (row.right, row.majority) == (5, False)


def test_one_answer_alone_is_no_majority_of_several():
    [row] = count_answers([number("a", "7"), number("b", "7")])
    assert not row.majority


def test_duplicates_are_of_the_same_bytes_or_of_like_words_about_the_same_media():
    """Of 10 and 11 words all 8 grams of the first are in the 9 of the second: 8/9, above 0.8, where
    both see the same picture. The third sees another, the fourth says something else."""
    words = "how many black cats sit on the red old roof"
    first = make_sample("first", words, media=SEEN, content_hash="1", options=(), answer="3")
    samples = [
        first,
        replace(first, id="same"),
        replace(first, id="near", question=f"{words} now", content_hash="2"),
        replace(first, id="elsewhere", content_hash="3", media=()),
        replace(first, id="other", question="what is it", content_hash="4"),
    ]
    assert find_duplicates(samples) == Duplicates(
        same=[("first", "same")], near=[("first", "near")], wordings=3, compared=5
    )


def test_there_is_nothing_to_count_in_no_questions():
    assert count_answers([]) == []
    assert find_duplicates([]) == Duplicates(same=[], near=[], wordings=0, compared=0)
