"""The annotated split of the digits set: evidence in words, added to sets that lack it."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from datamodules.digits.build import ADDED, Sizes, ensure, extend, plan_media, write_split
from tests.datamodules.digits.conftest import Row, families, paths, read
from tests.datamodules.digits.test_questions import FAMILIES
from tests.small_digits import SMALL


@pytest.fixture
def annotated(root: Path) -> list[Row]:
    return read(root / "annotated.jsonl")


def solve(row: Row) -> str:
    """Answer by the evidence alone, which names its one to three digits, or a sound, in order."""
    digits = [int(digit) for digit in re.findall(r"digit (\d)", row["evidence"])]
    family, question = row["id"].split("-")[1], row["question"]
    if not digits:
        return str(row["evidence"]).removeprefix("The sound is ").removesuffix(".")
    if family == "film" and len(digits) == 3:
        return str(digits[1 if "last" in question else 0] + digits[2])
    if family == "compare":
        seen, spoken = digits if "larger" in question else (-digits[0], -digits[1])
        return "equal" if seen == spoken else "image" if seen > spoken else "spoken"
    answers = {
        "pair": " and ".join(map(str, digits)),
        "set": ", ".join(map(str, sorted(digits))),
        "sum": str(sum(digits)),
        "same": "yes" if digits[0] == digits[-1] else "no",
        "order": str(digits[-1 if "last" in question else 0]),
        "larger": "yes" if str(digits[0]) > question[-2] else "no",
    }
    return answers.get(family, str(digits[0]))


def test_annotated_questions_complete_their_evidence_with_the_answer(root, annotated):
    assert len(annotated) == 500
    for row in annotated:
        assert row["completion"] == f"{row['evidence']} <answer>{row['answer']}</answer>"
    asked = {row["family"] for row in families(root, "annotated").values()}
    assert asked == FAMILIES - {"text", "shortcut", "media_options"}


def test_annotated_questions_show_the_media_of_the_warm_split(annotated):
    shown = {path for row in annotated for path in paths(row)}
    assert all(path.startswith("media/warm/") for path in shown)


def test_evidence_tells_what_is_needed_and_nothing_else(root, annotated):
    """Of a film that shows and says something, only the half that the question is about."""
    needed = {id_: row["evidence"] for id_, row in families(root, "annotated").items()}
    for row in annotated:
        seen = " show" in row["evidence"]
        heard = any(word in row["evidence"] for word in (" say", " sound "))
        assert seen == (needed[row["id"]] != "audio")
        assert heard == (needed[row["id"]] != "visual")


def test_evidence_is_enough_for_the_answer(annotated):
    assert [row["answer"] for row in annotated] == [solve(row) for row in annotated]


@pytest.mark.parametrize(
    "said",
    [
        "The image shows the digit",
        "The images show the digit",
        "The video shows the digit",
        "then the digit",
        "The voice says the digit",
        "The voices say the digit",
        "The sound is",
    ],
)
def test_evidence_is_worded_as_in_descriptions(annotated, said):
    assert any(said in row["evidence"] for row in annotated)


def test_questions_are_those_of_before_there_was_an_annotated_split(tmp_path):
    """Byte for byte: answers, probes and models of older sets stay comparable."""
    before = {"warm": "d4dbe8f1", "train": "2e9ae09d", "val": "dbc44de1", "test": "5274d6bf"}
    media = plan_media(Sizes(), 0)
    for split, digest in before.items():
        write_split(tmp_path, split, media[split], Sizes().questions(split), 0)
        written = (tmp_path / f"{split}.jsonl").read_bytes()
        assert hashlib.sha256(written).hexdigest()[:8] == digest


def without_added(root: Path, folder: Path) -> Path:
    """Copy a set as it was before there was an annotated split; media may be links."""
    shutil.copytree(root, folder, copy_function=os.link)
    for file in (folder / f"{ADDED}.jsonl", folder / "truth" / f"{ADDED}.jsonl"):
        file.unlink()
    about = json.loads((folder / "digits.json").read_text())
    del about["counts"][ADDED]
    (folder / "digits.json").unlink()
    (folder / "digits.json").write_text(json.dumps(about))
    return folder


def test_ensure_adds_the_split_that_a_set_lacks_and_touches_nothing_else(root, tmp_path):
    old = without_added(root, tmp_path / "digits")
    before = {file: file.stat().st_mtime_ns for file in old.rglob("*") if file.is_file()}
    ensure(old, sizes=SMALL)
    for name in ("digits.json", f"{ADDED}.jsonl", f"truth/{ADDED}.jsonl"):
        assert (old / name).read_bytes() == (root / name).read_bytes()
    del before[old / "digits.json"]
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert [file.name for file in tmp_path.iterdir()] == ["digits"]


def test_questions_of_another_plan_get_no_evidence(root, tmp_path):
    """Evidence is told from the plan of the media, and those there may show something else."""
    old = without_added(root, tmp_path / "digits")
    (old / "warm.jsonl").unlink()
    (old / "warm.jsonl").write_text("{}\n")
    assert not extend(old, SMALL)
    assert not (old / f"{ADDED}.jsonl").exists()
