"""Calibration errors by hand, and where a probe shows them."""

import math
import re

import numpy as np
import pytest

from evaluation.probing.confidence import calibration_error
from evaluation.probing.stage import probe
from tests.evaluation.probing.test_stage import config


def error(*answers: tuple[float, int]) -> float:
    sure, right = zip(*answers, strict=True)
    return calibration_error(np.array(sure), np.array(right))


def test_calibration_errors_by_hand():
    """Bins of 1/15: 0.30 and 0.32 share [0.267, 0.333), 0.90 has [0.867, 0.933), 0.6 [0.6, 0.667).

    2/4 |0.31 - 1/2| + 1/4 |0.9 - 1| + 1/4 |0.62 - 0| = 0.095 + 0.025 + 0.155 = 0.275
    """
    assert error((0.30, 1), (0.32, 0), (0.90, 1), (0.62, 0)) == pytest.approx(0.275)


def test_confidences_in_one_bin_may_cancel_out():
    """0.74 and 0.79 share a bin, 0.7333 to 0.8: |0.765 - 3/4|, although each misses by more."""
    answers = [(0.74, 1), (0.74, 1), (0.79, 1), (0.79, 0)]
    assert error(*answers) == pytest.approx(0.015)


def test_certainty_is_right_or_wrong():
    """Exactly 1 belongs to a bin, too."""
    assert error((1.0, 1)) == 0
    assert error((1.0, 0)) == 1


def test_no_answer_has_no_error():
    assert math.isnan(calibration_error(np.zeros(0), np.zeros(0, dtype=np.int64)))


def test_a_probe_of_options_shows_its_calibration(root, tmp_path):
    words = ["probe.conditions=[full,text_only]", "probe.option_permutations=2"]
    told = probe(config(root, tmp_path, *words, "probe.method=options"))
    assert re.search(r"right % +ECE\nfull .*\d\.\d\] +\d+\.\d%\ntext_only .*\] +\d+\.\d%\n", told)
    assert "ECE: expected calibration error, 15 bins" in told
    assert probe(config(root, tmp_path, *words, "probe.method=options")) == told  # from the cache
    assert "ECE" not in probe(config(root, tmp_path, *words))
