"""Signs of a run that learns nothing, on series made by hand."""

import random

import pytest

from training.signs import WINDOW, Row, needed, signs_in


def healthy(number: int) -> Row:
    """A row of a run that learns, noisy, and poor in its beginning."""
    draw = random.Random(number).random()
    return {
        "train/reward": 0.1 * (draw < 0.3) if number < 8 else 0.3 + 0.2 * draw,
        "train/frac_reward_zero_std": 0.6 + 0.4 * draw,
        "train/eos_rate": 0.02 + 0.3 * draw,
        "train/entropy": 0.005 + 0.1 * draw,
        "train/grad_norm": 0.0 if draw < 0.5 else draw,
        "train/loss": draw - 0.5,
        "train/top_letter": 0.4 + 0.6 * draw,
    }


GOOD = {
    **{"train/reward": 0.4, "train/frac_reward_zero_std": 0.5, "train/eos_rate": 0.5},
    **{"train/entropy": 0.1, "train/grad_norm": 0.5, "train/loss": 0.1, "train/top_letter": 0.5},
}


def shown(rows: list[Row]) -> set[str]:
    return {*signs_in(rows)}


def series(**changed: float) -> list[Row]:
    """A healthy window in which some metrics are the same all the time."""
    same = {f"train/{name}": value for name, value in changed.items()}
    return [{**healthy(number), **same} for number in range(20, 20 + WINDOW)]


def test_a_healthy_run_shows_none_at_any_step():
    rows = [healthy(number) for number in range(60)]
    assert [shown(rows[:count]) for count in range(61)] == [set()] * 61


@pytest.mark.parametrize(
    ("sign", "changed"),
    [
        ("constant_reward", {"reward": 0.0}),
        ("constant_reward", {"reward": 0.1}),
        ("no_spread", {"frac_reward_zero_std": 0.95}),
        ("all_truncated", {"eos_rate": 0.05}),
        ("no_entropy", {"entropy": 0.0099}),
        ("no_gradient", {"grad_norm": 0.0}),
        ("same_letter", {"top_letter": 0.99}),
    ],
)
def test_what_lasts_for_a_window_is_a_sign(sign, changed):
    rows = series(**changed)
    assert shown(rows) == {sign}
    assert shown(rows[1:]) == set()
    assert shown([*rows[:5], GOOD, *rows[6:]]) == set()


@pytest.mark.parametrize(
    "changed",
    [
        {"frac_reward_zero_std": 0.94},
        {"eos_rate": 0.06},
        {"entropy": 0.01},
        {"grad_norm": 1e-9},
        {"top_letter": 0.98},
    ],
)
def test_a_little_less_is_none(changed):
    assert shown(series(**changed)) == set()


def test_a_sentence_has_the_value_and_the_settings_to_look_at():
    [sentence] = signs_in(series(eos_rate=0.03)).values()
    assert sentence.startswith("97% of the completions are cut") and "rlvr.max_compl" in sentence
    [sentence] = signs_in(series(reward=0.25)).values()
    assert "reward has been 0.25 all the time, and" in sentence and "prealign.reader" in sentence
    [sentence] = signs_in(series(reward=0.0, reward_honest=0.0, reward_accuracy=0.5)).values()
    assert "has been 0 all the time (train/reward_honest 0 as well), and" in sentence


def losses(*values: float) -> list[Row]:
    return [{"train/loss": value, "train/grad_norm": 1.5} for value in values]


def test_the_loss_of_imitation_has_to_fall_some_time():
    """Of thirty rows, the mean of the last ten, 2.0 or 1.9, against that of the first, 2.0."""
    flat = losses(*[1.5, 2.5] * 15)
    assert shown(flat[:29]) == set()
    assert shown(flat) == {"loss_not_falling"}
    assert "was 2 in the first rows and is 2 now" in signs_in(flat)["loss_not_falling"]
    assert shown([*flat[:20], *losses(*[1.4, 2.4] * 5)]) == set()


def test_the_loss_of_reinforcement_need_not_fall():
    assert shown([healthy(number) | {"train/loss": 0.5} for number in range(40)]) == set()


def test_rows_in_the_middle_are_needed_no_more():
    rows = losses(*range(90, 0, -1))
    assert needed(rows) == [*rows[:10], *rows[-20:]] and needed(rows[:30]) == rows[:30]
    assert needed(rows[:31]) == [*rows[:10], *rows[11:31]]
    assert (
        signs_in(needed(rows[::-1])).keys() == signs_in(rows[::-1]).keys() == {"loss_not_falling"}
    )
