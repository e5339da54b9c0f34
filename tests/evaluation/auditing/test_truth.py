"""Rules against each other and against the truth: hand-worked shares and intervals."""

import json
import math

import numpy as np
import pytest

from evaluation.auditing.truth import answerable, check, clustered_share, halfway, read_truth
from evaluation.statistics.intervals import Interval


@pytest.mark.parametrize(
    ("evidence", "condition", "expected"),
    [
        ("text", "text_only", True),
        ("text", "no_text", False),
        ("audio", "no_visual", True),
        ("audio", "no_audio", False),
        ("audio", "audio_only", False),
        ("visual", "no_audio", True),
        ("either", "no_audio", True),
        ("either", "no_visual", True),
        ("either", "text_only", False),
        ("both", "no_audio", False),
        ("both", "full", True),
    ],
)
def test_a_question_is_answerable_if_one_sufficient_set_is_left(evidence, condition, expected):
    assert answerable(evidence, condition) is expected


def test_wilson_counts_as_many_questions_as_the_clusters_are_worth():
    """Four assets of two questions: 2, 0, 1 and 2 right.

    p = 5/8; the clusters' excesses .75, -1.25, -.25, .75 square to 2.75
    V = 4/3 * 2.75 / 64 = .0572917; m = .234375 / V = 4.0909 instead of 8; z = 1.95996
    center = (.625 + z^2/2m) / (1 + z^2/m) = .56447; half = .34230
    """
    interval = clustered_share(
        np.array([1, 1, 0, 0, 1, 0, 1, 1], bool), list("aabbccdd"), confidence=0.95
    )
    assert (interval.mean, interval.n, interval.clusters) == (0.625, 8, 4)
    assert (interval.low, interval.high) == pytest.approx((0.22217, 0.90676), abs=1e-5)


def test_wilson_of_independent_questions_is_the_textbook_one():
    """7 of 10, each about its own asset: V = .21 / 9, so m = 9."""
    right = np.arange(10) < 7
    interval = clustered_share(right, list("abcdefghij"), confidence=0.95)
    z2 = 1.959964**2
    center = (0.7 + z2 / 18) / (1 + z2 / 9)
    half = math.sqrt(z2 * (0.21 / 9 + z2 / (4 * 81))) / (1 + z2 / 9)
    assert (interval.low, interval.high) == pytest.approx((center - half, center + half))


def test_a_perfect_share_is_not_certain_and_its_assets_count_once():
    """Six of six about three assets: low = 3 / (3 + z^2) = 3 / 6.84146."""
    interval = clustered_share(np.ones(6, bool), list("aabbcc"), confidence=0.95)
    assert (interval.mean, interval.high) == (1.0, 1.0)
    assert interval.low == pytest.approx(3 / 6.84146, abs=1e-5)


def test_questions_about_one_asset_have_no_interval():
    interval = clustered_share(np.array([True, False]), ["a", "a"], confidence=0.95)
    assert interval.mean == 0.5 and math.isnan(interval.low)


def test_the_bounds_of_a_mean_of_two_shares_add_as_squares():
    """(.8 [.5, .9] + .6 [.2, .84]) / 2: .7 - hypot(.3, .4)/2 = .45; .7 + hypot(.1, .24)/2 = .83"""
    a = Interval(mean=0.8, low=0.5, high=0.9, n=5, clusters=4)
    b = Interval(mean=0.6, low=0.2, high=0.84, n=7, clusters=3)
    mean = halfway(a, b)
    assert (mean.mean, mean.low, mean.high, mean.n) == pytest.approx((0.7, 0.45, 0.83, 12))


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


def test_truth_is_read_by_id_and_its_absence_is_no_error(tmp_path):
    file = tmp_path / "train.jsonl"
    assert read_truth(file) == {}
    file.write_text(json.dumps({"id": "q1", "evidence": "both", "family": "sum"}) + "\n")
    assert read_truth(file)["q1"]["family"] == "sum"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "q1"}, r"train\.jsonl:1 has no 'evidence', .*: add it"),
        ({"id": "q1", "evidence": "smell"}, r"evidence 'smell'.*choose from text, audio"),
    ],
)
def test_a_truth_file_says_what_is_wrong_with_it(tmp_path, row, message):
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=message):
        read_truth(tmp_path / "train.jsonl")
