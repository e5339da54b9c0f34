"""Order of samples and seeds of draws are arithmetic."""

import pytest

from datamodules.sampler import draw_seed, prompts_at


def walk(steps: int, **how: int) -> list[int]:
    return [index for step in range(steps) for index in prompts_at(step, **how)]


def test_every_sample_is_read_once_per_epoch_though_batches_span_epochs():
    """7 samples in batches of 3: seven batches are exactly three epochs."""
    order = walk(7, seed=5, size=7, batch_size=3)
    epochs = [order[0:7], order[7:14], order[14:21]]
    assert [sorted(epoch) for epoch in epochs] == [list(range(7))] * 3


def test_each_epoch_has_its_own_order():
    order = walk(2, seed=5, size=20, batch_size=20)
    assert order[:20] != order[20:]


def test_ranks_take_turns_within_the_batch_of_one_process():
    """Ranks 0, 1, 2 of batch size 4 interleave to one process's batch size 12."""
    ranks = [prompts_at(6, seed=1, size=50, batch_size=4, rank=r, world=3) for r in range(3)]
    together = [index for turn in zip(*ranks, strict=True) for index in turn]
    assert together == prompts_at(6, seed=1, size=50, batch_size=12)


def test_another_seed_is_another_order():
    assert walk(1, seed=1, size=40, batch_size=40) != walk(1, seed=2, size=40, batch_size=40)


def test_order_is_the_same_on_every_machine():
    assert prompts_at(2, seed=7, size=10, batch_size=4) == [4, 5, 0, 1]


def test_a_batch_may_be_larger_than_the_data():
    batch = prompts_at(0, seed=3, size=1, batch_size=4)
    assert batch == [0, 0, 0, 0]


def test_no_samples_at_all_is_an_error_that_says_where_to_look():
    with pytest.raises(ValueError, match=r"0 samples.*quarantine.*keep=all"):
        prompts_at(0, seed=0, size=0, batch_size=2)


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
