"""Scores of grounding: the audio score and the swap grid, by hand and at their limits."""

import math

import numpy as np
import pytest

from evaluation.benchmarking.grounding import audio_score, swap_grid
from evaluation.statistics.bootstrap import Bootstrap

USUAL = Bootstrap(resamples=1000, confidence=0.95, seed=3)
FOUR = list("abcd")


def test_the_audio_score_by_hand():
    """Full 3/4, silent 1/4, mismatched 2/4: 0.75 - (0.25 + 0.5)/2 = 0.375."""
    found = audio_score([1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0], FOUR, USUAL)
    assert found.mean == 0.375
    assert found.n == 4


def test_the_audio_score_is_paired():
    """Every question loses half an answer: no draw can change that, though scores vary."""
    full = np.array([1.0, 0, 1, 0])
    found = audio_score(full, full - 0.5, full - 0.5, FOUR, USUAL)
    assert (found.low, found.mean, found.high) == (0.5, 0.5, 0.5)


def test_the_swap_grid_by_hand():
    """Cells 4/4, 1/4 (other sound), 2/4 (other pictures), 1/4 (both other):

    E_A = ((1 - .25) + (.5 - .25))/2 = .5, E_V = ((1 - .5) + (.25 - .25))/2 = .25,
    psi = .75 - .25 = .5, SI = .25/.75 = 1/3.
    """
    cells = [[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    grid = swap_grid(cells, FOUR, USUAL)
    assert grid.audio.mean == pytest.approx(0.5)
    assert grid.visual.mean == pytest.approx(0.25)
    assert grid.interaction.mean == pytest.approx(0.5)
    assert grid.shortcut.mean == pytest.approx(1 / 3)
    assert grid.shortcut.low <= 1 / 3 <= grid.shortcut.high <= 1


def test_one_who_only_looks_has_an_index_of_one():
    """The pictures alone decide, and an index has no sign: also where they harm."""
    for right, wrong in ((1, 0), (0, 1)):
        cells = [[right] * 4, [right] * 4, [wrong] * 4, [wrong] * 4]
        grid = swap_grid(cells, FOUR, USUAL)
        assert grid.audio.mean == 0
        assert grid.visual.mean == right - wrong
        assert (grid.shortcut.low, grid.shortcut.mean, grid.shortcut.high) == (1, 1, 1)


def test_one_who_only_listens_has_an_index_of_zero():
    grid = swap_grid([[1] * 4, [0] * 4, [1] * 4, [0] * 4], FOUR, USUAL)
    assert (grid.shortcut.mean, grid.audio.mean) == (0, 1)


def test_where_nothing_has_an_effect_the_index_is_undefined():
    grid = swap_grid([[1, 0, 1, 0]] * 4, FOUR, USUAL)
    assert (grid.audio.mean, grid.visual.mean) == (0, 0)
    assert math.isnan(grid.shortcut.mean) and math.isnan(grid.shortcut.low)


def test_draws_without_any_effect_do_not_count():
    """Only the first of two clusters shows one: of its own draws, and the mixed, SI is 1."""
    grid = swap_grid([[1, 0], [1, 0], [0, 0], [0, 0]], ["a", "b"], USUAL)
    assert (grid.shortcut.low, grid.shortcut.high) == (1, 1)


def test_a_grid_of_no_questions_is_undefined():
    grid = swap_grid([[], [], [], []], [], USUAL)
    assert math.isnan(grid.shortcut.mean)
    assert grid.audio.n == 0
