"""Order of samples and seeds of draws are arithmetic."""

from collections import Counter

import numpy as np
import pytest

from datamodules.draws import draw_seed, prompts_at, random_order


def walk(steps: int, **how: object) -> list[int]:
    return [index for step in range(steps) for index in prompts_at(step, **how)]


def test_every_sample_is_read_once_per_epoch_though_batches_span_epochs():
    """7 samples in batches of 3: seven batches are exactly three epochs."""
    order = walk(7, seed=5, size=7, batch_size=3)
    epochs = [order[0:7], order[7:14], order[14:21]]
    assert [sorted(epoch) for epoch in epochs] == [list(range(7))] * 3


def test_each_epoch_has_its_own_order():
    order = walk(2, seed=5, size=20, batch_size=20)
    assert order[:20] != order[20:]


def test_another_seed_is_another_order():
    assert walk(1, seed=1, size=40, batch_size=40) != walk(1, seed=2, size=40, batch_size=40)


def test_order_is_the_same_on_every_machine():
    assert prompts_at(2, seed=7, size=10, batch_size=4) == [4, 5, 0, 1]


def test_a_batch_may_be_larger_than_the_data():
    batch = prompts_at(0, seed=3, size=1, batch_size=4)
    assert batch == [0, 0, 0, 0]


def test_no_samples_at_all_is_an_error_that_says_where_to_look():
    with pytest.raises(ValueError, match=r"0 samples.*quarantine.*data.contribution"):
        prompts_at(0, seed=0, size=0, batch_size=2)


def test_weights_read_each_sample_as_often_as_expected_rounded_up_or_down():
    """Weights 6, 0, 1, 3, 2 of 12: 2.5, 0, 0.42, 1.25 and 0.83 of the 5 places of an epoch."""
    weights = np.array([6.0, 0, 1, 3, 2])
    expected = 5 * weights / 12
    epochs = np.array(walk(400, seed=1, size=5, batch_size=5, weights=weights)).reshape(400, 5)
    counts = np.array([np.bincount(epoch, minlength=5) for epoch in epochs])
    assert ((np.floor(expected) <= counts) & (counts <= np.ceil(expected))).all()
    assert np.abs(counts.mean(0) - expected).max() < 0.06
    assert (counts[:, 1] == 0).all()


def test_whole_expectations_are_met_exactly():
    """Weights 2, 1, 1, 0, 1 of 5 places."""
    weights = np.array([0.2, 0.1, 0.1, 0, 0.1])
    for epoch in range(50):
        read = prompts_at(epoch, seed=2, size=5, batch_size=5, weights=weights)
        assert Counter(read) == {0: 2, 1: 1, 2: 1, 4: 1}


@pytest.mark.parametrize(("size", "weight"), [(1, 3.0), (7, 0.1), (1000, 1 / 3)])
def test_equal_weights_read_what_none_do(size, weight):
    how = {"seed": 5, "size": size, "batch_size": 3}
    assert walk(40, **how, weights=np.full(size, weight)) == walk(40, **how)


def test_weights_do_not_change_what_a_step_depends_on():
    """A step is the same wherever counting starts."""
    how = {"seed": 1, "size": 11, "weights": np.arange(11.0)}
    assert prompts_at(3, **how, batch_size=12) == walk(4, **how, batch_size=12)[36:]


def test_weighted_order_is_the_same_on_every_machine():
    read = walk(3, seed=7, size=4, batch_size=4, weights=np.array([4.0, 1, 1, 2]))
    assert read == [0, 1, 0, 3, 0, 0, 1, 3, 1, 0, 3, 0]


def test_random_order_is_a_permutation_keyed_by_all_its_parts():
    orders = [random_order(*parts, size=30).tolist() for parts in ((0, "a"), (1, "a"), (0, "b"))]
    assert all(sorted(order) == list(range(30)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize(
    ("parts", "golden"),
    [
        ((0,), 6197007067532723406),
        ((7, 1200, "train-sum-0031", 3), 3664364591564367424),
        ((1099511627776, "ü"), 1200719120292663969),
    ],
)
def test_draw_seeds_are_the_same_on_every_machine(parts, golden):
    assert draw_seed(*parts) == golden


def test_draw_seeds_tell_neighboring_fields_apart():
    draws = {draw_seed(0, 1, 23), draw_seed(0, 12, 3), draw_seed(0, "1", 23), draw_seed(1, 23)}
    assert len(draws) == 4


def test_draw_seeds_fit_63_bits():
    assert all(0 <= draw_seed(seed, "x") < 2**63 for seed in range(100))
