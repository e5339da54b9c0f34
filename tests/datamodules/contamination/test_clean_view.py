"""Views of sets: what they say of a question, and what they refuse to speak of."""

from dataclasses import replace
from pathlib import Path

import pytest

from datamodules.contamination.clean_view import (
    CleanView,
    JudgedQuestion,
    find_views,
    read_view,
    view_path,
    view_text,
)
from datamodules.sample import Sample
from tests.conftest import make_sample


def sample(name: str, content: str = "0") -> Sample:
    return make_sample(name, "Who\u2028speaks?", content_hash=content * 32)


def view(name: str = "mini", rule: str = "calibrated") -> CleanView:
    """Of three questions, the second removed."""
    rows = [
        JudgedQuestion(id=id_, content_hash=id_ * 32, band=band, kept=kept, reason="\u2028 é")
        for id_, band, kept in (
            ("a", "strong", True),
            ("b", "weak", False),
            ("c", "unstable", True),
        )
    ]
    return CleanView(
        set=name, rule=rule, numbers={"alpha": 0.05}, condition="text_only", how="absent",
        probes=[{"key": "f" * 32, "model": "m"}], rows=rows,
    )  # fmt: skip


ASKED = [sample("a", "a"), sample("b", "b"), sample("c", "c")]


def test_questions_are_kept_in_the_order_in_which_they_are_asked():
    assert view().kept([ASKED[1], ASKED[0], ASKED[2]]).tolist() == [False, True, True]


def test_a_changed_question_is_refused_with_the_command_that_judges_again():
    changed = [ASKED[0], sample("b", "d"), ASKED[2]]
    with pytest.raises(
        ValueError, match=r"1 questions of mini have changed since \(first: 'b'\)"
    ) as e:
        view().kept(changed)
    assert "stage=clean 'clean.sets=[mini]' 'clean.rules=[calibrated]'" in str(e.value)
    assert "benchmark.clean_view=none" in str(e.value)


def test_a_question_that_was_not_judged_is_refused():
    with pytest.raises(ValueError, match=r"2 questions of mini were not judged \(first: 'x'\)"):
        view().kept([*ASKED, sample("x"), sample("y")])


def test_a_question_that_is_gone_is_refused():
    with pytest.raises(ValueError, match=r"are there no more \(first: 'b'\)"):
        view().kept([ASKED[0], ASKED[2]])


def test_a_view_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "mini.calibrated.jsonl"
    file.write_text(view_text(view()), encoding="utf-8")
    assert read_view(file) == view()
    assert view_text(read_view(file)).encode() == file.read_bytes()


@pytest.mark.parametrize("cut", [0, 10, 300, -1, -60])
def test_a_damaged_view_is_refused_whole(tmp_path, cut):
    file = tmp_path / "mini.calibrated.jsonl"
    whole = view_text(view()).encode()
    lines = whole.splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) if cut == -1 else whole[:cut])
    with pytest.raises(ValueError, match=r"is damaged .* delete it"):
        read_view(file)


def test_the_views_of_a_set_are_its_own(tmp_path):
    """`test` has two; `test.json` and `sub/test` are other sets."""
    for name, rule in (
        ("test", "omniclean"),
        ("test", "calibrated"),
        ("test.json", "soft"),
        ("sub/test", "vidground"),
    ):
        path = view_path(tmp_path, name, rule)
        path.parent.mkdir(exist_ok=True)
        path.write_text(view_text(view(name, rule)))
    found = {
        name: [one.rule for one in find_views(tmp_path, name)]
        for name in ("test", "test.jsonl", "test.json", "sub/test", "other")
    }
    assert found == {
        "test": ["omniclean", "calibrated"],
        "test.jsonl": ["omniclean", "calibrated"],
        "test.json": ["soft"],
        "sub/test": ["vidground"],
        "other": [],
    }


@pytest.mark.parametrize("name", ["/data/test", "../test", "a/../../test"])
def test_a_set_outside_the_data_has_no_view(name):
    with pytest.raises(ValueError, match=r"lies outside data\.root"):
        view_path(Path("views"), name, "soft")


def test_who_renames_an_asset_changes_no_question():
    assert view().kept([replace(one, asset_id="other") for one in ASKED]).sum() == 2
