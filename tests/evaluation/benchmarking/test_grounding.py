"""Scores of grounding: the audio score and the swap grid, by hand and at their limits."""

import math

import numpy as np
import pytest

from evaluation.benchmarking.grounding import audio_score, swap_grid
from evaluation.statistics.intervals import DIFFERENCE, mean_interval

SURE = {"confidence": 0.95}
FOUR = list("abcd")


def test_the_audio_score_by_hand():
    """Full 3/4, silent 1/4, mismatched 2/4: 0.75 - (0.25 + 0.5)/2 = 0.375."""
    found = audio_score([1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0], FOUR, **SURE)
    assert found.mean == 0.375
    assert found.n == 4


def test_the_audio_score_is_paired():
    """Every question loses half an answer: the interval is that of four halves, though scores
    vary."""
    full = np.array([1.0, 0, 1, 0])
    found = audio_score(full, full - 0.5, full - 0.5, FOUR, **SURE)
    assert found == mean_interval([0.5] * 4, FOUR, **SURE, reach=DIFFERENCE)


def test_the_swap_grid_by_hand():
    """Cells 4/4, 1/4 (other sound), 2/4 (other pictures), 1/4 (both other):

    E_A = ((1 - .25) + (.5 - .25))/2 = .5, E_V = ((1 - .5) + (.25 - .25))/2 = .25,
    psi = .75 - .25 = .5, SI = .25/.75 = 1/3.
    """
    cells = [[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    grid = swap_grid(cells, FOUR, **SURE)
    assert grid.audio.mean == pytest.approx(0.5)
    assert grid.visual.mean == pytest.approx(0.25)
    assert grid.interaction.mean == pytest.approx(0.5)
    assert grid.shortcut.mean == pytest.approx(1 / 3)
    assert grid.shortcut.low <= 1 / 3 <= grid.shortcut.high <= 1


def test_one_who_only_looks_has_an_index_of_one():
    """The pictures alone decide, and an index has no sign: also where they harm."""
    for right, wrong in ((1, 0), (0, 1)):
        cells = [[right] * 4, [right] * 4, [wrong] * 4, [wrong] * 4]
        grid = swap_grid(cells, FOUR, **SURE)
        assert grid.audio.mean == 0
        assert grid.visual.mean == right - wrong
        assert grid.shortcut.mean == 1


def test_one_who_only_listens_has_an_index_of_zero():
    grid = swap_grid([[1] * 4, [0] * 4, [1] * 4, [0] * 4], FOUR, **SURE)
    assert (grid.shortcut.mean, grid.audio.mean) == (0, 1)


def test_where_nothing_has_an_effect_the_index_is_undefined():
    grid = swap_grid([[1, 0, 1, 0]] * 4, FOUR, **SURE)
    assert (grid.audio.mean, grid.visual.mean) == (0, 0)
    assert math.isnan(grid.shortcut.mean) and math.isnan(grid.shortcut.low)


def test_the_index_reaches_as_far_as_both_effects_do():
    """Of 400 questions none depends on the sound, and half on the pictures: E_A within a, E_V from
    b to c, so the index from b / (a + b) to 1."""
    names = [str(number) for number in range(400)]
    right = np.arange(400) % 2
    grid = swap_grid([[1] * 400, [1] * 400, right, right], names, **SURE)
    sound, sight = (
        mean_interval(values, names, confidence=0.975, reach=DIFFERENCE)
        for values in ([0] * 400, 1 - right)
    )
    expected = sight.low / (sight.low + sound.high)
    assert 0.9 < expected < 1
    assert (grid.shortcut.low, grid.shortcut.mean, grid.shortcut.high) == (expected, 1, 1)


def test_a_grid_of_no_questions_is_undefined():
    grid = swap_grid([[], [], [], []], [], **SURE)
    assert math.isnan(grid.shortcut.mean)
    assert grid.audio.n == 0
