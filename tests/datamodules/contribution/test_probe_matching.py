"""Which cached probes vote for a rule, and how their counts are summed."""

from pathlib import Path

import pytest

from tests.datamodules.contribution.conftest import KEY, OTHER, THIRD, probed, select


def test_no_probe_names_the_command(tmp_path):
    with pytest.raises(ValueError, match=r"by no probe\nName.*stage=probe.*rule=none"):
        select(tmp_path)


def test_several_probes_are_listed_with_what_they_are_and_have(root):
    probed(root, {"q0": 1, "q1": 0, "q2": 1, "q3": 0}, key=OTHER)
    probed(root, {"q0": 1}, key=THIRD, condition="no_audio")
    with pytest.raises(
        ValueError, match=r"holds 2 probes that answered what calibrated asks, but it reads one\."
    ) as error:
        select(root)
    assert f"{KEY} (m-a, generate): 4 of 6 under text_only/absent" in str(error.value)
    assert f"{OTHER} (m-b, generate): 4 of 6 under text_only/absent" in str(error.value)
    assert THIRD not in str(error.value)


def test_of_two_probes_the_one_that_leaves_fewer_questions_missing_votes(root):
    """As after a look at one greedy answer each, when a rule of 16 has been asked as well."""
    probed(root, {"q0": 1, "q1": 0, "q2": 1, "q3": 0}, key=OTHER, n=1)
    assert "missing" not in select(root, on_missing="drop").bands[:4].tolist()


def test_a_probe_is_named_by_its_beginning(root):
    probed(root, {"q0": 0, "q1": 16, "q2": 16}, key=OTHER)
    bands = select(root, on_missing="drop", probes=["bb"]).bands.tolist()
    assert bands[:3] == ["strong", "weak", "weak"]


@pytest.mark.parametrize("probes", [["a+b"], ["a", "b"]])
def test_pooled_probes_are_one_voter(tmp_path, probes):
    """8 answers each are too few alone; a rule with one voter pools all that are named."""
    for key in (KEY, OTHER):
        probed(tmp_path, {"q0": 8, "q1": 0, "q2": 3}, key=key, n=8)
    assert select(tmp_path, on_missing="drop", probes=["a"]).bands[2] == "missing"
    bands = select(tmp_path, on_missing="drop", probes=probes).bands.tolist()
    assert bands[:3] == ["weak", "strong", "undetermined"]


def three_votes(root: Path) -> None:
    """Right answers of three probes: q0 3, q1 2, q2 1, q5 0."""
    silent = {"n": 1, "condition": "no_audio", "how": "silent"}
    probed(root, {"q0": 1, "q1": 1, "q2": 0, "q4": 0, "q5": 0}, key=KEY, **silent)
    probed(root, {"q0": 1, "q1": 0, "q2": 1, "q4": 0, "q5": 0}, key=OTHER, **silent)
    probed(root, {"q0": 1, "q1": 1, "q2": 0, "q4": 0, "q5": 0}, key=THIRD, **silent)


def test_as_many_probes_as_voters_need_not_be_named(tmp_path):
    three_votes(tmp_path)
    bands = select(tmp_path, rule="audiomcq", min_questions=None).bands.tolist()
    assert bands == ["weak", "weak", "strong", "undefined", "strong", "strong"]


def test_too_few_voters_are_an_error(tmp_path):
    three_votes(tmp_path)
    with pytest.raises(ValueError, match=r"names 2 probes, but audiomcq reads 3, each for a vote"):
        select(tmp_path, rule="audiomcq", probes=["a", "b"])


def test_voters_that_differ_have_to_be_named(tmp_path):
    """The second is asked in two orders, so which probe it is matters: q0 only if it is `a`."""
    orders = {"q0": 1, "q1": 0}, {"q0": 1, "q1": 0}
    for number, correct in enumerate(orders):
        probed(tmp_path, correct, key=KEY, n=1, option_seed=number)
    for key in (OTHER, THIRD):
        for number in range(3):
            right = {"q0": int(key == OTHER or number < 2), "q1": 0}
            probed(tmp_path, right, key=key, n=1, option_seed=number)
    with pytest.raises(ValueError, match="is empty, but vidground_m1 reads 3, each for a vote and"):
        select(tmp_path, rule="vidground_m1")
    named = {"rule": "vidground_m1", "on_missing": "drop", "min_questions": None}
    assert select(tmp_path, **named, probes=["b", "a", "c"]).bands[:2].tolist() == [
        "weak",
        "strong",
    ]


def test_a_vote_counts_the_orders_that_its_paper_asks(tmp_path):
    """Right as written and wrong in the second order, which vidground never shows."""
    probed(tmp_path, {"q0": 1, "q1": 0}, n=1)
    probed(tmp_path, {"q0": 0, "q1": 1}, n=1, option_seed=1)
    bands = select(tmp_path, rule="vidground", on_missing="drop", min_questions=None).bands
    assert bands[:2].tolist() == ["weak", "strong"]
