"""From cached counts to the questions that a run reads; no model, no torch.

Of six questions with four options, `calibrated` finds q0 weak (16 of 16 right without media), q1
strong (0), q2 undetermined (7), q3 undefined (no media), q4 unstable (alone in its source), and q5
missing (never asked).
"""

import json
import logging

import pytest

from tests.datamodules.contribution.conftest import (
    FULL,
    probed,
    rows,
    select,
)


def test_bands_are_those_of_the_docstring(root):
    bands = ["weak", "strong", "undetermined", "undefined", "unstable", "missing"]
    assert select(root, on_missing="drop").bands.tolist() == bands


@pytest.mark.parametrize("on_missing", ["drop", "probe", "keep"])
@pytest.mark.parametrize(
    ("keep", "places"),
    [
        ("strong", [1, 3, 4]),
        ("not_weak", [1, 2, 3, 4]),
        ("weak", [0]),
        ("all", [0, 1, 2, 3, 4]),
    ],
)
def test_keep_names_bands_and_on_missing_the_rest(root, keep, places, on_missing):
    kept = select(root, keep=keep, on_missing=on_missing).kept.tolist()
    assert kept == places + ([5] if on_missing == "keep" else [])


@pytest.mark.parametrize(
    ("control", "on_missing", "places"),
    [
        ("full", "drop", [0, 1, 2, 3, 4, 5]),
        ("full", "error", [0, 1, 2, 3, 4, 5]),
        ("complement", "drop", [0, 2]),
        ("complement", "probe", [0, 2]),
        ("complement", "keep", [0, 2]),
    ],
)
def test_controls_read_everything_or_what_the_filter_drops(root, control, on_missing, places):
    """What is dropped for want of answers is on neither side."""
    assert select(root, control=control, on_missing=on_missing).kept.tolist() == places


@pytest.mark.parametrize(
    ("keep", "on_missing", "size", "outside"),
    [
        ("strong", "drop", 3, {5}),
        ("strong", "keep", 4, set()),
        ("not_weak", "drop", 4, {5}),
        ("weak", "probe", 1, {5}),
    ],
)
def test_random_same_size_draws_as_many_by_the_seed(root, keep, on_missing, size, outside):
    def drawn(seed: int) -> tuple[int, ...]:
        settings = {"keep": keep, "on_missing": on_missing, "control": "random_same_size"}
        return tuple(select(root, seed=seed, **settings).kept.tolist())

    draws = [drawn(seed) for seed in range(12)]
    assert {len(set(draw)) for draw in draws} == {size}
    assert all(list(draw) == sorted(draw) and not outside & set(draw) for draw in draws)
    assert len(set(draws)) > 2 and drawn(3) == draws[3]


@pytest.mark.parametrize(
    ("control", "places"),
    [("filtered", [3, 4]), ("full", [0, 2, 3, 4, 5]), ("complement", [0, 2])],
)
def test_what_another_run_has_read_is_on_neither_side(root, tmp_path, control, places):
    run = tmp_path / "other"
    run.mkdir()
    read = [{"id": "q1", "kept": True}, {"id": "q3", "kept": False}]
    (run / "selection.jsonl").write_text("".join(json.dumps(row) + "\n" for row in read))
    found = select(root, control=control, on_missing="drop", disjoint_from=[str(run / "export")])
    assert found.kept.tolist() == places
    assert rows(root)[1]["reason"] == "another run has read it"


def test_another_run_that_chose_nothing_is_an_error(root, tmp_path):
    with pytest.raises(ValueError, match=r"disjoint_from names .*export, but there is no"):
        select(root, on_missing="drop", disjoint_from=[str(tmp_path / "export")])


def test_missing_answers_name_one_question_the_command_and_a_way_to_decline(root):
    text = r"1 of 6 questions .*first: 'q5'.*stage=probe.*text_only.*samples=16.*on_missing=drop"
    with pytest.raises(ValueError, match=text):
        select(root)


def test_missing_answers_do_not_matter_where_nothing_is_dropped(root):
    assert len(select(root, keep="all").kept) == 6


def test_every_row_says_what_became_of_a_question_and_why(root):
    probed(root, FULL, condition="full")
    select(root, on_missing="drop", control="complement")
    given = rows(root)
    assert [row["id"] for row in given] == [f"q{number}" for number in range(6)]
    assert [row["kept"] for row in given] == [True, False, True, False, False, False]
    assert [row.get("reason") for row in given] == [
        "control=complement",
        "control=complement",
        "control=complement",
        "control=complement",
        "control=complement",
        "too few cached answers",
    ]
    assert [row.get("contribution") for row in given] == [0, 0.5, 0.25, None, -0.25, None]
    assert given[1]["low"] < 0.5 < given[1]["high"]


def test_reasons_of_what_no_rule_decides(root):
    select(root, on_missing="keep")
    assert [row.get("reason") for row in rows(root)] == [
        None,
        None,
        None,
        "text_only withholds nothing from it",
        "its source has fewer than 2 questions",
        "too few cached answers",
    ]
    assert not any("contribution" in row for row in rows(root))


def test_another_threshold_joins_the_same_counts_again(root):
    """7 of 16 is surely less than knowing all but a hundredth of what chance leaves."""
    assert select(root, on_missing="drop").kept.tolist() == [1, 3, 4]
    assert select(root, on_missing="drop", margin=0.99).kept.tolist() == [1, 2, 3, 4]


def test_a_selection_that_changes_under_a_run_is_told(root, caplog):
    with caplog.at_level(logging.WARNING):
        select(root, on_missing="drop")
        select(root, on_missing="drop")
        assert not caplog.records
        probed(root, {"q5": 0})
        select(root, on_missing="drop")
    assert "not what it was" in caplog.text
    assert not list(root.glob("*.tmp"))


def test_weights_are_the_contribution_and_its_mean_where_nobody_knows(root):
    """Contributions 0.5, 0.25, unknown for lack of media, and -0.25, which counts as 0."""
    probed(root, FULL, condition="full")
    selected = select(root, keep="not_weak", on_missing="drop", weighted=True)
    assert selected.kept.tolist() == [1, 2, 3, 4]
    assert selected.weights.tolist() == [0.5, 0.25, 0.25, 0]


def test_weights_need_answers_in_full(root):
    probed(root, {"q0": 16, "q1": 8}, condition="full")
    with pytest.raises(ValueError, match=r"2 of 6 .*with weights.*'q2'.*=\[text_only\].*=\[full\]"):
        select(root, weighted=True)


def test_weights_that_are_all_zero_are_an_error(root):
    probed(root, FULL, condition="full")
    with pytest.raises(ValueError, match=r"p\(full\).*none of 1 kept.*weighted=false"):
        select(root, keep="weak", on_missing="drop", weighted=True)


def test_soft_reads_both_sides(root):
    probed(root, FULL, condition="full")
    bands = select(root, rule="soft", on_missing="drop").bands.tolist()
    assert bands == ["weak", "strong", "undetermined", "undefined", "unstable", "missing"]


def test_a_curriculum_has_the_weak_questions(root):
    assert select(root, on_missing="drop", curriculum_steps=3).weak.tolist() == [0]


def test_a_curriculum_without_weak_questions_is_an_error(tmp_path):
    probed(tmp_path, {"q0": 0, "q1": 0})
    with pytest.raises(ValueError, match=r"curriculum_steps=3.*finds none.*curriculum_steps=0"):
        select(tmp_path, on_missing="drop", curriculum_steps=3)


def test_nothing_to_train_on_is_an_error(tmp_path):
    probed(tmp_path, {"q0": 0, "q1": 0})
    with pytest.raises(ValueError, match=r"keep=weak.*leaves no question.*keep=all"):
        select(tmp_path, on_missing="drop", keep="weak")


def test_no_rule_reads_everything_and_no_cache(tmp_path):
    selected = select(tmp_path, rule="none")
    assert selected.kept.tolist() == list(range(6)) and selected.weights is None
    assert set(selected.bands.tolist()) == {""}


@pytest.mark.parametrize(
    "setting",
    [{"keep": "weak"}, {"control": "complement"}, {"weighted": True}, {"curriculum_steps": 2}],
)
def test_no_rule_refuses_what_only_a_rule_can_mean(tmp_path, setting):
    with pytest.raises(ValueError, match=rf"{next(iter(setting))}.*rule=none.*rule=calibrated"):
        select(tmp_path, rule="none", **setting)
