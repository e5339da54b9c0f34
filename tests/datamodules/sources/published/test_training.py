"""Formats that models are trained on: every field of what becomes of a published row."""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.sample import Media, Sample
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from tests.format_media import FIXTURES, with_media


def read(name: str, root: Path) -> tuple[list[Sample], list[str]]:
    """Read an excerpt with its media; the samples, and the reasons of the others."""
    quarantine = Quarantine(max_bad_share=1)
    samples = read_manifest(with_media(FIXTURES / name, root), root, quarantine)
    assert all(len(sample.content_hash) == 32 for sample in samples)
    return samples, [*quarantine.counts.elements()]


def rows(root: Path, *given: object) -> tuple[list[Sample], dict[str, int]]:
    (root / "train.jsonl").write_text("\n".join(map(json.dumps, given)))
    (root / "a.wav").write_bytes(b"RIFF")
    quarantine = Quarantine(max_bad_share=1)
    return read_manifest(root / "train.jsonl", root, quarantine), dict(quarantine.counts)


def same(sample: Sample, **fields: object) -> bool:
    """Compare every field but the hash; those not named have their defaults."""
    asset = fields["media"][0].path if fields.get("media") else fields["id"]
    expected = Sample(**{"asset_id": asset, "content_hash": sample.content_hash, **fields})
    assert asdict(sample) == asdict(expected)
    return True


def test_our_own_manifest(tmp_path):
    samples, _ = read("manifest.jsonl", tmp_path)
    bell = Media(
        modality="audio",
        path="sounds/bell.flac",
        start=0.05,
        end=0.15,
        text="A bell rings twice.",
    )
    assert same(
        samples[0],
        id="bell",
        question="What rings?",
        options=("a phone", "a bell"),
        answer="B",
        answer_type="choice",
        media=(bell,),
        source="manifest",
        facts={"task": "sound", "level": "2"},
    )
    assert same(
        samples[1],
        id="steps",
        question="How many steps?",
        answer="3",
        answer_type="number",
        tolerance=1.0,
        source="stairs",
        asset_id="house-4",
    )


def test_audiomcq(tmp_path):
    """Of four options the third; a text that differs in case and spaces; a text that is none."""
    (rain, whistle), reasons = read("audiomcq.jsonl", tmp_path)
    assert same(
        rain,
        id="Clotho/17",
        question="What falls on the roof?",
        options=("Snow", "Leaves", "Rain", "Sand"),
        answer="C",
        answer_type="choice",
        media=(Media(modality="audio", path="Clotho/rain.wav"),),
        source="Clotho",
        facts={"question_type": "sound", "audio_contribution": "strong"},
    )
    assert same(
        whistle,
        id="TACOS/17",
        question="Which comes first?",
        options=("A bark", "A whistle", "A door", "A horn"),
        answer="B",
        answer_type="choice",
        media=(Media(modality="audio", path="TACOS/dog.flac"),),
        completion="A whistle, then a bark. <answer>A whistle</answer>",
        source="TACOS",
        facts={"question_type": "temporal"},
    )
    assert reasons == ["bad_answer"]


def test_avqa_counts_its_options_from_0(tmp_path):
    """Also where options are numbers: 3 is the fourth of 3, 2, 1, 0."""
    (boat, dogs, animal), reasons = read("avqa.json", tmp_path)
    assert same(
        boat,
        id="183",
        question="What happened in the video?",
        options=("motorboat", "Yacht consignment", "Sailboat set sail", "Consignment car"),
        answer="B",
        answer_type="choice",
        media=(Media(modality="audio", path="clips/HG3.wav"),),
        source="AVQA",
        facts={
            "question_relation": "View",
            "question_type": "Happening",
            "video_name": "-HG3Omg_89c_000030",
            "video_id": "341",
        },
    )
    assert (dogs.answer, dogs.options[3]) == ("D", "0")
    assert (animal.id, animal.answer, animal.source) == ("dev-7", "B", "avqa")
    assert reasons == []


def test_video_r1(tmp_path):
    (choice, number, sign, text, distance), reasons = read("video_r1.json", tmp_path)
    farm = Media(modality="video", path="films/farm.mp4")
    assert same(
        choice,
        id="2",
        question="Which animal runs?",
        options=("A horse", "A cow", "A hen"),
        answer="C",
        answer_type="choice",
        media=(farm,),
        source="LLaVA-Video-178K",
        facts={"problem_type": "multiple choice"},
    )
    assert same(
        sign,
        id="4",
        question="What does the sign say?",
        answer="NO ENTRY",
        answer_type="ocr",
        media=(Media(modality="image", path="pictures/sign.png"),),
        completion="<think>Letters.</think>\n<answer>NO ENTRY</answer>",
        source="video_r1",
        facts={"problem_type": "OCR"},
    )
    assert (number.answer_type, number.answer, number.tolerance) == ("number", "0.125", 0.005)
    assert (text.answer_type, text.answer) == ("text", "He feeds hens.")
    assert (distance.answer_type, distance.answer, distance.tolerance) == ("regression", "4.5", 0)
    assert reasons == ["bad_answer_type"]


def test_columns(tmp_path):
    """Letters beyond the options are no answers: the third row has two options and answers D."""
    (sings, many), reasons = read("columns.csv", tmp_path)
    assert same(
        sings,
        id="c1",
        question="Who, of these, sings?",
        options=("a wren", "a crow"),
        answer="B",
        answer_type="choice",
        media=(Media(modality="audio", path="sounds/crow.wav"),),
        source="columns",
        facts={"topic": "birds"},
    )
    assert (many.options, many.answer) == (("1", "2", "3"), "B")
    assert reasons == ["bad_answer"]


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
