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


def test_a_single_longest_option_is_picked_for_certain():
    sample = replace(SAMPLE, options=("a", "bb", "cccc"), answer="C")
    assert longest_option(sample) == 1


def test_options_that_are_media_are_guessed_among():
    assert longest_option(replace(SAMPLE, options=("", "", "", ""))) == 0.25


def test_open_questions_cannot_be_answered_blindly():
    sample = replace(SAMPLE, options=(), answer="7", answer_type="number")
    assert (first_option(sample), longest_option(sample)) == (0, 0)


def test_in_all_turns_the_first_option_is_a_guess():
    turned = [reorder(SAMPLE, order) for order in range(4)]
    assert sum(map(first_option, turned)) / 4 == 0.25
    assert sum(map(longest_option, turned)) / 4 == 0.5


def test_of_several_right_options_one_is_not_enough():
    sample = replace(SAMPLE, answer_type="set", answer="a cat, a horse")
    assert (first_option(sample), longest_option(sample)) == (0, 0)
    alone = replace(sample, answer="a cat")
    assert (first_option(alone), longest_option(alone)) == (1, 0)
