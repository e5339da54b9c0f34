"""Confidences by hand: softmax over options, and which rows count."""

from math import log

import numpy as np
import pytest

from datamodules.contribution.option_confidence import option_confidence
from datamodules.contribution.probe_cache import write_shard
from tests.datamodules.contribution.test_probe_cache import KEY, content, row


def scored(number, *weights, right, order=0, **changed):
    """A row whose options have these probabilities, up to a factor."""
    return row(
        number,
        n=1,
        n_correct=right,
        n_unparsed=0,
        option_seed=order,
        option_logprobs=tuple(log(weight) for weight in weights),
        **changed,
    )


def read(root, numbers, orders=1):
    found = option_confidence(
        root, KEY, [content(n) for n in numbers], "no_audio", "silent", orders=orders
    )
    return sorted(zip(*(np.round(values, 6).tolist() for values in found), strict=True))


def test_confidence_is_the_share_of_the_likeliest_option(tmp_path):
    """0.3 of 0.3 + 0.1, and 5 of 5 + 2 + 1: probabilities of other words do not count."""
    write_shard(tmp_path, [scored(1, 0.1, 0.3, right=1), scored(2, 5, 2, 1, right=0)])
    assert read(tmp_path, [1, 2]) == [(0.625, 0), (0.75, 1)]


def test_each_order_counts_up_to_the_wanted_ones(tmp_path):
    write_shard(tmp_path, [scored(1, 1, 3, right=1), scored(1, 4, 1, right=0, order=1)])
    assert read(tmp_path, [1]) == [(0.75, 1)]
    assert read(tmp_path, [1], orders=2) == [(0.75, 1), (0.8, 0)]


def test_other_questions_conditions_and_repeats_do_not_count(tmp_path):
    write_shard(tmp_path, [scored(1, 1, 3, right=1, time=5.0), scored(2, 1, 9, right=1)])
    write_shard(tmp_path, [scored(1, 1, 1, right=0, time=9.0)])
    write_shard(tmp_path, [scored(1, 1, 7, right=0, condition="text_only")])
    write_shard(tmp_path, [scored(1, 1, 7, right=0, how="absent")])
    assert read(tmp_path, [1, 1, 3]) == [(0.75, 1)]


@pytest.mark.parametrize("numbers", [[], [7]])
def test_where_no_option_was_scored_there_is_nothing(tmp_path, numbers):
    write_shard(tmp_path, [row(7)])
    assert read(tmp_path, numbers) == []
