"""A rule against the truth: hand-worked shares."""

import math

import numpy as np
import pytest

from evaluation.auditing.truth import check


def test_a_rule_is_checked_over_the_questions_it_judged():
    """Needs: 3 strong, 1 weak, 1 undetermined. Answerable: 1 strong, 4 weak, 2 undetermined."""
    told = {
        "needs": ["strong"] * 3 + ["weak"] + ["undetermined"] + ["undefined", "missing"],
        "answerable": ["strong"] + ["weak"] * 4 + ["undetermined"] * 2 + ["unstable"],
    }
    bands = np.array([*told["needs"], *told["answerable"]])
    needs = np.arange(15) < 7
    result = check(bands, needs, [f"a{i}" for i in range(15)], confidence=0.95)
    assert result.table == {
        "needs": {"strong": 3, "weak": 1, "undetermined": 1},
        "answerable": {"strong": 1, "weak": 4, "undetermined": 2},
    }
    means = {name: value.mean for name, value in vars(result).items() if name != "table"}
    assert means == pytest.approx(
        {
            "decided": 9 / 12,
            "strong_precision": 3 / 4,
            "weak_precision": 4 / 5,
            "strong_recall": 3 / 5,
            "weak_recall": 4 / 7,
            "balanced": (3 / 5 + 4 / 7) / 2,
            "strong_recall_decided": 3 / 4,
            "weak_recall_decided": 4 / 5,
            "balanced_decided": (3 / 4 + 4 / 5) / 2,
        }
    )


def test_a_rule_that_judged_nothing_has_no_shares():
    result = check(np.array(["undefined"]), np.array([True]), ["a"], confidence=0.95)
    assert result.decided.n == 0 and math.isnan(result.balanced.mean)
