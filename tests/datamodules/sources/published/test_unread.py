"""What published sets hold beside a question: known facts change nothing and are not told."""

import json
import logging
from pathlib import Path

import pytest

from datamodules.sources.published.audio_benchmarks import AUDIO_BENCHMARKS
from datamodules.sources.published.omni_benchmarks import OMNI_BENCHMARKS
from datamodules.sources.published.training import TRAINING
from datamodules.sources.published.video_benchmarks import VIDEO_BENCHMARKS
from tests.datamodules.sources.published.conftest import (
    EXCERPTS,
    changed,
    load,
    name_of,
)
from tests.format_media import FIXTURES, values, with_media

NAMED = (*AUDIO_BENCHMARKS, *VIDEO_BENCHMARKS, *OMNI_BENCHMARKS, *TRAINING)
HARMLESS = {name: one.harmless for one in NAMED for name in [one.name]}
OURS = [path for path in EXCERPTS if name_of(path) in HARMLESS]
VALUES = ("some words", 7, ["A", "B"], "videos/other.mp4", [[1.0, 2.5]], {"start": 1, "end": 2})


def with_field(row: dict, name: str, value: object) -> dict:
    """Put a field into a row, or into each object that its name says, as `questions.answer`."""
    outer, _, inner = name.partition(".")
    if not inner:
        return row | {outer: value}
    held = row.get(outer)
    if isinstance(held, list):
        return row | {outer: [with_field(one, inner, value) for one in held]}
    return row | {outer: with_field(held if isinstance(held, dict) else {}, inner, value)}


def test_formats_of_one_name_know_the_same_facts():
    """The first of them reads the file, by whichever of their fields it was told."""
    for one in NAMED:
        first = next(other for other in NAMED if other.name == one.name)
        assert (one.harmless, one.ways, one.adapt) == (first.harmless, first.ways, first.adapt)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_published_excerpts_have_nothing_to_tell(path, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    load(with_media(path, tmp_path), tmp_path)
    told = [record.message for record in caplog.records if "not read" in record.message]
    assert not told


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_known_facts_change_no_question_whatever_they_hold(path, tmp_path, caplog):
    held = next(iter(values(path)))
    row = held[0] if isinstance(held, list) else held
    manifest = with_media(path, tmp_path).with_suffix(".jsonl")
    # Fields that a copy has in the place of others, and the format reads where those are missing.
    read = {"path", "video", "id", "video_id"} if "video_path" in row or "path" in row else set()
    names = sorted(HARMLESS[name_of(path)] - read)
    rows = [row] + [with_field(row, name, value) for name in names for value in VALUES]
    seen = []
    for one in rows:
        manifest.write_text(json.dumps(one) + "\n")
        samples, counts = load(manifest, tmp_path, name_of(path))
        assert not counts, (one, counts)
        seen.append([(sample.content_hash, sample.answer, sample.media) for sample in samples])
    assert all(one == seen[0] for one in seen)
    assert not [record for record in caplog.records if "not read" in record.message]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("mmau.json", {"start": 1.5, "end": 3.0}),
        ("mmar.jsonl", {"audio_2": "audio/other.wav"}),
        ("mmsu.jsonl", {"answer": "It rises"}),
        ("daily_omni.json", {"audio_path": "q7Xa_other.wav"}),
        ("daily_omni.json", {"Answer_2": "A"}),
        ("video_mme.jsonl", {"start_time": 10, "end_time": 20}),
        ("video_mmmu.jsonl", {"image 2": "images/p4.png"}),
        ("longvideobench.json", {"clip": [3, 9]}),
        ("cg_av_counting.json", {"ref_video_path": "ref_videos/5.mp4"}),
        ("audiomcq.jsonl", {"is_correct": False}),
        ("video_r1.json", {"audio": "farm.wav"}),
        ("video_r1.json", {"rejected": "<answer>A</answer>"}),
    ],
)
def test_what_a_set_does_not_publish_sets_its_row_aside(name, fields, tmp_path):
    path = with_media(FIXTURES / name, tmp_path)
    assert path.exists()
    assert changed(name, tmp_path, **fields) == ([], "unread_field")


def test_a_part_of_one_question_sets_aside_the_questions_of_its_film(tmp_path):
    good = {"question": "?", "options": ["A.x", "B.y"], "correct_option": "B"}
    asked = [good, good | {"start": 3.5}]
    samples, counts = changed("omnivideobench.json", tmp_path, questions=asked)
    assert (samples, counts) == ([], "unread_field")


def test_questions_in_a_cell_of_a_table_are_read_by_name_too(tmp_path):
    good = {"question": "?", "options": ["A.x", "B.y"], "correct_option": "B"}
    for more, reason in (({"level": 3}, ""), ({"audio_path": "other.wav"}, "unread_field")):
        asked = json.dumps([good | more])
        samples, counts = changed("omnivideobench.json", tmp_path, questions=asked)
        assert (len(samples), counts) == (1 - bool(reason), reason)


def test_the_other_words_for_an_answer_are_no_second_answer(tmp_path):
    """OmniVideoBench scores the letter; its `answer` need not repeat the option word for word."""
    asked = {"question": "?", "options": ["A.x", "B.y"], "correct_option": "B", "answer": "Y."}
    [sample], _ = changed("omnivideobench.json", tmp_path, questions=[asked])
    assert sample.answer == "B"
    assert Path(sample.media[0].path).name == "video_1.mp4"
