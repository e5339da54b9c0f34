"""Formats and types of answers of the user's own."""

import json
from pathlib import Path

import pytest

from configs.plugins import FORMAT, VERIFIER, pinned
from datamodules.sample import Sample
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine

SOURCE = """
def rows(row, place):
    for part in row["parts"]:
        tempo = 60 / row["beat"]
        yield {
            "id": f"{place.id}-{part}", "question": row["ask"], "answer": tempo,
            "answer_type": "tempo", "facts": {"part": part}}

def tempo(question, answer, facts):
    return 1.0
"""
ROWS = [
    {"ask": "How fast?", "parts": ["a", "b"], "beat": 0.5},
    {"ask": "How fast?", "parts": ["a"], "beat": 0},
    {"ask": "How slow?", "parts": ["c"], "beat": 2},
]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "my.py").write_text(SOURCE)
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path / "q.jsonl"


def read_as(manifest: Path, verifier: str = "tempo") -> dict[str, object]:
    file = manifest.with_name("my.py")
    return {
        "format": pinned("data.format", f"{file}:rows", FORMAT),
        "verifiers": [pinned("data.verifiers", f"{file}:{verifier}", VERIFIER)],
    }


def read(manifest: Path) -> tuple[list[Sample], Quarantine]:
    bad = Quarantine(max_bad_share=1, run_dir=manifest.parent)
    return read_manifest(manifest, manifest.parent, bad, **read_as(manifest)), bad


def test_rows_are_converted_by_the_function(manifest):
    samples, _ = read(manifest)
    assert [one.id for one in samples] == ["q-1-a", "q-1-b", "q-3-c"]
    assert [one.answer for one in samples] == ["120.0", "120.0", "30.0"]
    assert samples[1].facts == {"part": "b"} and samples[0].source == "q"
    assert {one.answer_type for one in samples} == {"text"}
    assert all(":tempo@" in one.verifier for one in samples)


def test_a_row_that_the_function_fails_on_is_set_aside_with_its_line(manifest):
    _, bad = read(manifest)
    assert bad.counts == {"malformed": 1}
    [row] = map(json.loads, (manifest.parent / "quarantine.jsonl").read_text().splitlines())
    assert 'my.py:4 (tempo = 60 / row["beat"]) raised ZeroDivisionError' in row["detail"]


def test_what_is_no_row_is_set_aside(manifest):
    source = "def rows(row, place):\n    return row\n" + SOURCE.replace("def rows", "def old")
    manifest.with_name("my.py").write_text(source)
    samples, bad = read(manifest)
    assert not samples and bad.counts == {"malformed": 3}


def test_an_index_holds_the_same_questions(manifest):
    bad = Quarantine(max_bad_share=1)
    table = open_samples(manifest, manifest.parent, bad, above=0, **read_as(manifest))
    assert list(table) == read(manifest)[0]
    assert list(table[1:]) == read(manifest)[0][1:]


def test_an_index_cannot_name_a_function_that_the_settings_do_not(manifest):
    """As a forged one would, to have a file of its own run."""
    how = read_as(manifest)
    table = open_samples(manifest, manifest.parent, Quarantine(max_bad_share=1), above=0, **how)
    table.verifiers = ("",)
    with pytest.raises(ValueError, match=r"but only data\.verifiers names"):
        _ = table[0]


def test_another_verifier_makes_another_question(manifest):
    """Scores are kept by what a question is, and by what judges its answers."""
    before = [one.content_hash for one in read(manifest)[0]]
    manifest.with_name("my.py").write_text(SOURCE.replace("1.0", "0.5"))
    assert {*before}.isdisjoint(one.content_hash for one in read(manifest)[0])


def test_a_type_that_nobody_judges_is_refused_with_the_way_out(manifest):
    bad = Quarantine(max_bad_share=1, run_dir=manifest.parent)
    read_manifest(manifest, manifest.parent, bad, format=str(read_as(manifest)["format"]))
    assert bad.counts["bad_answer_type"] == 3
    assert "or name a verifier of your own in data.verifiers" in (
        (manifest.parent / "quarantine.jsonl").read_text()
    )


def test_a_verifier_cannot_take_the_name_of_a_type(manifest):
    manifest.with_name("my.py").write_text(SOURCE.replace("def tempo", "def number"))
    how = read_as(manifest, "number")
    with pytest.raises(ValueError, match="names number, which is built in, but"):
        read_manifest(manifest, manifest.parent, Quarantine(max_bad_share=1), **how)
