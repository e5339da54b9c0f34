"""Blind choices: what the first and the longest option score without anybody looking."""

from dataclasses import replace

import pytest

from datamodules.prompts.orders import reorder
from evaluation.benchmarking.baselines import first_option, longest_option
from tests.conftest import make_sample

SAMPLE = replace(make_sample(), options=("a cat", "a horse", "a whale", "no"), answer="C")


@pytest.mark.parametrize(("answer", "right"), [("A", 1), ("B", 0), ("D", 0)])
def test_the_first_option_is_right_where_the_answer_is_a(answer, right):
    assert first_option(replace(SAMPLE, answer=answer)) == right


@pytest.mark.parametrize(("answer", "score"), [("A", 0), ("B", 0.5), ("C", 0.5), ("D", 0)])
def test_of_two_longest_options_either_is_picked(answer, score):
    assert longest_option(replace(SAMPLE, answer=answer)) == score


@pytest.mark.parametrize(
    ("changes", "first", "longest"),
    [
        ({"options": ("a", "bb", "cccc"), "answer": "C"}, 0, 1),  # a single one, for certain
        ({"options": ("", "", "", "")}, 0, 0.25),  # media, which are guessed among
        ({"options": (), "answer": "7", "answer_type": "number"}, 0, 0),  # an open question
        ({"answer_type": "set", "answer": "a cat, a horse"}, 0, 0),  # one of two is not enough
        ({"answer_type": "set", "answer": "a cat"}, 1, 0),
    ],
)
def test_blind_choices_score_by_what_there_is_to_choose_from(changes, first, longest):
    sample = replace(SAMPLE, **changes)
    assert (first_option(sample), longest_option(sample)) == (first, longest)


def test_in_all_turns_the_first_option_is_a_guess():
    turned = [reorder(SAMPLE, order) for order in range(4)]
    assert sum(map(first_option, turned)) / 4 == 0.25
    assert sum(map(longest_option, turned)) / 4 == 0.5
