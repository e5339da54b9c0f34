"""Plain columns: what becomes of their rows, and which are set aside."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.sample import Media, Sample
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from tests.format_media import FIXTURES, with_media


def rows(root: Path, *given: object) -> tuple[list[Sample], dict[str, int]]:
    (root / "train.jsonl").write_text("\n".join(map(json.dumps, given)))
    (root / "a.wav").write_bytes(b"RIFF")
    quarantine = Quarantine(max_bad_share=1)
    return read_manifest(root / "train.jsonl", root, quarantine), dict(quarantine.counts)


ROW = {"question": "Which?", "choices": ["a cat", "a dog"], "answer": "a dog"}


def test_a_row_without_an_id_is_named_by_its_place(tmp_path):
    samples, _ = rows(tmp_path, ROW, ROW | {"id": "mine"}, ROW)
    assert [one.id for one in samples] == ["train-1", "mine", "train-3"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"answer": None}, "missing_answer"),
        ({"answer": "a cow"}, "bad_answer"),
        ({"answer": "C"}, "bad_answer"),
        ({"answer": 1}, "bad_answer"),
        ({"question": ""}, "missing_question"),
        ({"choices": ["a dog"]}, "bad_options"),
        ({"choices": [*"0123456789", "a dog"]}, "bad_options"),
        ({"choices": "a dog"}, "bad_options"),
        ({"noise": "a.wav"}, "unread_field"),
        ({"clips": ["a"]}, "unread_field"),
        ({"audio": {"array": [0.5]}}, "bad_media"),
        ({"audio": "b.wav"}, "missing"),
    ],
)
def test_a_row_that_cannot_be_used_is_set_aside(tmp_path, fields, reason):
    samples, reasons = rows(tmp_path, ROW, ROW | fields)
    assert (len(samples), reasons) == (1, {reason: 1})


@pytest.mark.parametrize("count", range(2, 11))
def test_a_choice_has_two_to_ten_options(tmp_path, count):
    """The last of them is right, and each is written behind its letter."""
    options = [f"{letter}. no {letter}" for letter in "ABCDEFGHIJ"[:count]]
    [sample], _ = rows(tmp_path, ROW | {"choices": options, "answer": options[-1][0]})
    assert sample.options[-1] == options[-1][3:]
    assert sample.answer == options[-1][0]


@pytest.mark.parametrize(
    ("answer", "answer_type", "held"),
    [("3", "number", "3"), ("No", "yes_no", "no"), ("a goose", "text", "a goose")],
)
def test_columns_without_options_ask_openly(tmp_path, answer, answer_type, held):
    [sample], _ = rows(tmp_path, {"question": "?", "answer": answer, "image_path": None})
    assert (sample.answer_type, sample.answer) == (answer_type, held)


def test_columns_of_our_own_mean_what_they_mean_there(tmp_path):
    own = {"id": "q", "source": "zoo", "asset_id": "x", "evidence": "It barks.", "topic": "dogs"}
    media = [{"modality": "audio", "path": "a.wav", "end": 2}]
    [sample], _ = rows(tmp_path, ROW | own | {"media": media, "facts": {"level": "1"}})
    assert (sample.source, sample.asset_id, sample.evidence) == ("zoo", "x", "It barks.")
    assert sample.media == (Media(modality="audio", path="a.wav", end=2.0),)
    assert sample.facts == {"topic": "dogs", "level": "1"}


def test_media_inside_parquet_are_kept_beside_it(tmp_path):
    sound = with_media(FIXTURES / "columns.csv", tmp_path / "x").parent / "sounds" / "crow.wav"
    held = {"bytes": sound.read_bytes(), "path": "crow.wav"}
    pq.write_table(pa.Table.from_pylist([ROW | {"audio": held}] * 2), tmp_path / "set.parquet")
    samples = read_manifest(tmp_path / "set.parquet", tmp_path, Quarantine(max_bad_share=0))
    assert [one.id for one in samples] == ["set-1", "set-2"]
    [kept] = (tmp_path / "set-media").iterdir()
    assert {one.media[0].path for one in samples} == {f"set-media/{kept.name}"}
    assert kept.read_bytes() == sound.read_bytes()
