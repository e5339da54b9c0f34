"""Formats: each is told from its rows, can be named, and survives whatever a file holds."""

import json
from pathlib import Path
from typing import get_args

import pytest

from bench.fuzz_records import fuzz
from configs.inputs import FormatName
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.formats import FORMATS, format_of, is_test_set, recognize
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from tests.format_media import FIXTURES, with_media

EXCERPTS = sorted(path for path in FIXTURES.iterdir() if path.suffix != ".media")
PUBLISHED = [path for path in EXCERPTS if path.stem != "manifest"]
NAMES = {one.name for one in FORMATS}
OWN = {"id": "q1", "question": "How many?", "answer": "3"}
MMAU = {"id": "q1", "audio_id": "a.wav", "question": "Which?", "choices": ["a", "b"]}
MMAU |= {"answer": "a", "task": "sound"}
CHAT = {"messages": [{"role": "user", "content": "Hi"}]}


def named(excerpt: Path) -> str:
    """An excerpt bears the name of its format, and perhaps what is special about it."""
    return max((name for name in NAMES if excerpt.stem.startswith(name)), key=len)


def written(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_every_format_that_can_be_named_is_read():
    assert {*get_args(FormatName)} == {*NAMES, "auto"}


def test_every_format_has_an_excerpt():
    excerpts = {path.stem for path in EXCERPTS}
    assert {name for name in NAMES if not any(one.startswith(name) for one in excerpts)} == set()


@pytest.mark.parametrize("excerpt", EXCERPTS, ids=lambda path: path.stem)
def test_an_excerpt_is_recognized_unless_it_has_to_be_named(excerpt):
    name = named(excerpt)
    if name == "manifest" or any(one.fields for one in FORMATS if one.name == name):
        assert format_of(excerpt).name == name
    assert format_of(excerpt, name).name == name


@pytest.mark.parametrize("excerpt", PUBLISHED, ids=lambda path: path.stem)
def test_media_are_looked_for_beside_their_manifest_wherever_that_lies(excerpt, tmp_path):
    found = []
    for root, directory in ((tmp_path / "one", ""), (tmp_path / "two", "deep/er")):
        path = with_media(excerpt, root / directory)
        found.append(read_manifest(path, root, Quarantine(max_bad_share=1), format=named(excerpt)))
    at_root, below = found
    assert [one.content_hash for one in at_root] == [one.content_hash for one in below] != []
    assert all(item.path.startswith("deep/er/") for one in below for item in one.media)


def test_our_own_manifest_has_no_foreign_field():
    assert recognize(OWN).name == "manifest"
    assert recognize(OWN | {"options": ["a", "b"], "media": []}).name == "manifest"
    for other in ({"topic": "x"}, {"options": ["A. a", "B. b"]}, {"options": "['a', 'b']"}):
        assert recognize(OWN | other).name == "columns"


def test_the_format_with_most_fields_is_chosen():
    assert recognize({"question": "?", "choices": ["a", "b"], "answer": "a"}).name == "columns"
    assert recognize(MMAU).name == "mmau"
    assert recognize({"conversations": []}).name == "chat"
    assert recognize({"conversations": [], "video": "a.mp4"}).name == "llava_video"


def test_a_row_of_two_formats_or_of_none_says_what_it_saw_and_how_to_name_one():
    with pytest.raises(RowError, match=r"fields query, reply is of no known format.*data\.format="):
        recognize({"query": "Hi", "reply": "Ho"})
    both = {"instruction": "?", "output": "x", "prompt": [], "reward_model": {}}
    with pytest.raises(RowError, match=r"is of alpaca and of verl, but is read as one"):
        recognize(both)


def test_a_manifest_has_the_format_of_most_of_its_first_rows(tmp_path):
    path = written(tmp_path / "a.jsonl", CHAT, MMAU, MMAU, {"odd": 1}, *[CHAT] * 40)
    assert format_of(path).name == "chat"
    path = written(tmp_path / "b.jsonl", *[MMAU] * 20, *[CHAT] * 40)
    assert format_of(path).name == "mmau"


def test_our_own_format_wins_where_two_are_as_frequent(tmp_path):
    path = written(tmp_path / "a.jsonl", MMAU, OWN)
    assert format_of(path).name == "manifest"


def test_two_published_formats_in_one_manifest_are_refused(tmp_path):
    path = written(tmp_path / "a.jsonl", MMAU, CHAT)
    with pytest.raises(ValueError, match=r"a\.jsonl begins with as many .* one format: name it"):
        format_of(path)


def test_a_manifest_of_unknown_rows_is_refused(tmp_path):
    path = written(tmp_path / "a.jsonl", {"odd": 1}, {"odd": 2})
    with pytest.raises(ValueError, match=r"a\.jsonl: a row with the fields odd .*data\.format="):
        format_of(path)


def test_a_file_of_which_little_is_read_has_to_be_named(tmp_path):
    """Of five columns three are nobody's; facts by their names, such as a license, are no loss."""
    strange = {"question": "?", "answer": "3", "shade": "x", "warp": "y", "weft": "z"}
    path = written(tmp_path / "a.jsonl", strange, strange)
    with pytest.raises(ValueError, match=r"3 of its 5 .*: shade, warp, weft.*data\.format=columns"):
        read_manifest(path, tmp_path, Quarantine(max_bad_share=1))
    assert len(read_manifest(path, tmp_path, Quarantine(max_bad_share=0), format="columns")) == 2
    facts = {"license": "CC", "topic": "x", "difficulty": 3, "uid": "y", "source_dataset": "z"}
    path = written(tmp_path / "b.jsonl", {"question": "?", "answer": "3", "shade": "x"} | facts)
    [sample] = read_manifest(path, tmp_path, Quarantine(max_bad_share=0))
    assert len(sample.facts) == 6


def test_what_is_not_read_is_told_once_when_a_file_is_opened(tmp_path, caplog):
    path = written(tmp_path / "a.jsonl", CHAT | {"solution": "3", "shade": "dark"}, CHAT)
    read_manifest(path, tmp_path, Quarantine(max_bad_share=1))
    [told] = [one.message for one in caplog.records if "not read" in one.message]
    assert "shade (1 rows, such as 'dark')" in told


def test_rows_of_another_format_are_set_aside(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    path = written(tmp_path / "a.jsonl", MMAU, MMAU | {"id": "q2"}, CHAT)
    quarantine = Quarantine(max_bad_share=1)
    assert [one.id for one in read_manifest(path, tmp_path, quarantine)] == ["q1", "q2"]
    assert len(quarantine) == 1


def test_each_bad_question_of_a_row_of_several_is_counted(tmp_path):
    bad = {"question": "?", "options": ["A. x", "B. y"], "correct_option": "D", "answer": "z"}
    row = {"video": "a.mp4", "video_type": "news", "duration": 7, "questions": [bad, bad, bad]}
    quarantine = Quarantine(max_bad_share=1)
    path = written(tmp_path / "a.jsonl", row)
    assert read_manifest(path, tmp_path, quarantine, format="omnivideobench") == []
    assert len(quarantine) == 3


def test_a_row_without_any_question_is_counted(tmp_path):
    row = {"video": "a.mp4", "video_type": "news", "duration": 7, "questions": []}
    quarantine = Quarantine(max_bad_share=1)
    path = written(tmp_path / "a.jsonl", row)
    assert read_manifest(path, tmp_path, quarantine) == []
    assert len(quarantine) == 1


def test_a_benchmark_is_known_by_its_format(tmp_path):
    assert is_test_set(written(tmp_path / "a.jsonl", MMAU))
    assert is_test_set(written(tmp_path / "b.jsonl", OWN), "mmau")
    for rows in ([OWN], [CHAT], [{"odd": 1}], []):
        assert not is_test_set(written(tmp_path / "b.jsonl", *rows))
    assert not is_test_set(tmp_path / "none.jsonl")
    training = {"audiomcq", "avqa", "video_r1", "llava_video"}
    training |= {"intentbench_train", "video_holmes_train"}
    assert {one.name for one in FORMATS if not one.test and not one.generic} == training


def test_questions_of_a_data_set_are_named_after_it_and_others_after_their_manifest(tmp_path):
    rows = ((MMAU, "mmau"), (OWN | {"topic": "x"}, "mine"), (OWN, "mine"))
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    for row, source in rows:
        path = written(tmp_path / "mine.jsonl", row)
        [sample] = read_manifest(path, tmp_path, Quarantine(max_bad_share=0))
        assert sample.source == source


def test_damaged_records_become_questions_or_lines_in_quarantine(tmp_path):
    """A thousand of them, the same each time; `python -m bench.fuzz_records` reads ten times so."""
    outcome = fuzz(1_000, seed=0, root=tmp_path)
    assert outcome.crashes == []
    assert outcome.questions > 100 and outcome.reasons.total() > 100
    assert outcome.slowest < 10
