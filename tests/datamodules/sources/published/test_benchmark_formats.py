"""Published benchmarks: every field of every question that their excerpts hold, and odd rows."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.sample import Media, Sample
from datamodules.sources.formats import FORMATS, is_test_set
from datamodules.sources.published.audio_benchmarks import AUDIO_BENCHMARKS
from datamodules.sources.published.omni_benchmarks import OMNI_BENCHMARKS
from datamodules.sources.published.video_benchmarks import VIDEO_BENCHMARKS
from modules.verifiers.publisher import official_score
from modules.verifiers.verify import verify
from tests.datamodules.sources.published.conftest import (
    ALL,
    EXCERPTS,
    changed,
    excerpt,
    load,
    name_of,
    rows_of,
)
from tests.format_media import FIXTURES, values, with_media

BENCHMARKS = {one.name for one in (*AUDIO_BENCHMARKS, *VIDEO_BENCHMARKS, *OMNI_BENCHMARKS)}
GOLD = [
    json.loads(line)
    for line in (FIXTURES.parent / "golden/excerpts.jsonl").read_text("utf-8").splitlines()
]
"""Every field of each question that is not empty, written down by hand."""

SET_ASIDE = {
    "audiomcq.jsonl": "bad_answer",  # a text that no option is
    "chat.jsonl": "bad_media",
    "columns.csv": "bad_answer",  # the letter D of two options
    "verl.json": "missing_answer",
    "video_r1.json": "bad_answer_type",
}
"""Of these excerpts one row, the others of which are read."""

OURS = [excerpt for excerpt in EXCERPTS if name_of(excerpt) in BENCHMARKS]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_every_field_of_every_question_is_read(path, tmp_path):
    """Content hashes alone are not written down: they follow the bytes of the media."""
    expected = [dict(row) for row in GOLD if row["excerpt"] == path.name]
    assert expected
    for row in expected:
        del row["excerpt"]
        row |= {"options": tuple(row.get("options", ())), "content_hash": ""}
        row["media"] = tuple(Media(**item) for item in row["media"])
    named = "auto" if path in EXCERPTS else name_of(path)
    samples, counts = load(with_media(path, tmp_path), tmp_path, named)
    assert counts == ({SET_ASIDE[path.name]: 1} if path.name in SET_ASIDE else {})
    assert [replace(one, content_hash="") for one in samples] == [Sample(**row) for row in expected]
    assert len({one.content_hash for one in samples}) == len(samples)
    assert all(len(one.content_hash) == 32 for one in samples)


def test_every_benchmark_has_an_excerpt():
    assert {name_of(path) for path in OURS} == BENCHMARKS == {o.name for o in FORMATS if o.test}


def test_the_documentation_lists_every_benchmark():
    """And says what it is told by: each field is one of those that a row of it must have."""
    page = (FIXTURES.parent.parent / "docs/benchmarks.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", page, flags=re.MULTILINE))
    assert told.keys() >= BENCHMARKS
    for name in BENCHMARKS:
        fields = {field for one in FORMATS if one.name == name for field in one.fields}
        assert {*re.findall("`(.*?)`", told[name])} <= fields | {"options"}


@pytest.mark.parametrize("path", EXCERPTS, ids=lambda path: path.name)
def test_benchmarks_are_known_for_test_sets_and_training_sets_are_not(path):
    assert is_test_set(path) == (path in OURS)


def completions(sample: Sample, letter: str) -> str:
    """Name an option as the publisher of the benchmark expects it."""
    if sample.source in ("mmau", "mmar"):
        return sample.options[sample.letters.index(letter)]
    return (
        f"<answer>{letter}</answer>" if sample.source in ("intentbench", "video_holmes") else letter
    )


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_gold_is_right_and_every_other_option_wrong(path, tmp_path):
    """By our verifier, and by the publisher's rule where that is known, in the publisher's form.

    But for OmniBench, whose script takes "A goose" for the letter A.
    """
    for sample in excerpt(path.name, tmp_path):
        for letter in sample.letters if sample.answer_type == "choice" else ():
            text = completions(sample, letter)
            official = official_score(sample, text) if sample.source != "omnibench" else None
            assert verify(text, sample=sample).correct == (letter == sample.answer)
            assert official is None or official.score == (letter == sample.answer)


@pytest.mark.parametrize(
    ("name", "number", "right", "wrong"),
    [
        ("intentbench.json", 1, "<answer>A,E</answer>", "<answer>B,C</answer>"),
        ("intentbench.json", 2, "<answer>Yes</answer>", "<answer>No</answer>"),
        ("cg_av_counting.json", 1, "11", "12"),
        ("video_mmmu.jsonl", 1, "<answer>2.5</answer>", "<answer>25</answer>"),
        ("video_mmmu.jsonl", 3, "<answer>A pupil of Giotto.</answer>", "<answer>Giotto</answer>"),
        ("mmvu.jsonl", 2, "5", "6"),
        ("uno_bench.jsonl", 2, "<answer>No entry</answer>", "<answer>Entry</answer>"),
    ],
)
def test_open_answers_are_right_or_wrong(name, number, right, wrong, tmp_path):
    sample = excerpt(name, tmp_path)[number]
    for text, score in ((right, 1.0), (wrong, 0.0)):
        official = official_score(sample, text)
        assert verify(text, sample=sample).correct == bool(score)
        assert official is None or official.score == score


CHOICES = [f"sound {number}" for number in range(11)]


@pytest.mark.parametrize("count", range(2, 11))
def test_two_to_ten_options_are_read(count, tmp_path):
    [sample], _ = changed("mmau.json", tmp_path, choices=CHOICES[:count], answer=CHOICES[count - 1])
    assert (len(sample.options), sample.answer) == (count, "ABCDEFGHIJ"[count - 1])


def test_a_copy_of_a_wrong_option_is_nobodys_business(tmp_path):
    [sample], _ = changed("mmau.json", tmp_path, choices=["a", "a", "b"], answer="b")
    assert sample.answer == "C"


@pytest.mark.parametrize(
    ("name", "number", "fields", "reason"),
    [
        ("mmau.json", 0, {"answer": "absent"}, "missing_answer"),
        ("mmau.json", 0, {"answer": "A cow"}, "bad_answer"),
        ("mmau.json", 0, {"choices": ["b"], "answer": "b"}, "bad_options"),
        ("mmau.json", 0, {"choices": CHOICES, "answer": "sound 3"}, "bad_options"),
        ("mmau.json", 0, {"choices": "Birdsong, Rain"}, "bad_options"),
        ("mmau.json", 0, {"question": " "}, "missing_question"),
        ("mmau.json", 0, {"audio_id": None}, "bad_media"),
        ("mmau.json", 0, {"audio_id": "gone.wav"}, "missing"),
        ("mmau.json", 0, {"audio_id": "../gone.wav"}, "missing"),
        ("mmau.json", 0, {"audio_id": "https://example.org/a.wav"}, "unsafe"),
        ("mmar_copy.jsonl", 0, {"answer": "E"}, "bad_answer"),
        ("mmsu.jsonl", 0, {"answer_gt": "It stops"}, "bad_answer"),
        ("omnibench.jsonl", 0, {"image_path": 7}, "bad_media"),
        ("omnibench.jsonl", 0, {"audio_path": "absent"}, "bad_media"),
        ("daily_omni.json", 0, {"Answer": "E"}, "bad_answer"),
        ("daily_omni.json", 0, {"video_id": "absent"}, "missing_column"),
        ("worldsense.jsonl", 1, {"answer": "D"}, "bad_answer"),
        ("av_odyssey.jsonl", 0, {"image_path": ["data/1/a.png"]}, "bad_media"),
        ("av_odyssey.jsonl", 0, {"image_path": {"first": "data/1/a.png"}}, "bad_media"),
        ("video_mme.jsonl", 0, {"videoID": "gone"}, "missing"),
        ("video_mme.jsonl", 0, {"options": {"A": "2", "C": "5"}}, "bad_options"),
        ("video_mmmu.jsonl", 1, {"answer": "['2.5', '5:2']"}, "bad_answer"),
        ("video_mmmu.jsonl", 1, {"answer": ""}, "missing_answer"),
        ("mmvu.jsonl", 0, {"answer": "F"}, "bad_answer"),
        ("longvideobench.json", 0, {"correct_choice": 5}, "bad_answer"),
        ("longvideobench.json", 0, {"correct_choice": -1}, "bad_answer"),
        ("longvideobench.json", 0, {"correct_choice": "absent"}, "missing_answer"),
        ("intentbench.json", 0, {"problem_type": "essay"}, "bad_answer_type"),
        ("intentbench.json", 0, {"data_type": "smell"}, "bad_media"),
        ("intentbench.json", 0, {"solution": "<answer>D</answer>"}, "bad_answer"),
        ("intentbench.json", 1, {"solution": "<answer>A,F</answer>"}, "bad_answer"),
        ("intentbench.json", 1, {"solution": "<answer>A,A</answer>"}, "bad_answer"),
        ("intentbench.json", 1, {"options": []}, "bad_options"),
        ("intentbench.json", 2, {"solution": "<answer>maybe</answer>"}, "bad_answer"),
        ("video_holmes.json", 0, {"Question ID": None}, "missing_column"),
        ("uno_bench.jsonl", 0, {"score_type": 1}, "bad_answer_type"),
        ("uno_bench.jsonl", 0, {"audios": {"<audio_1>": None}}, "bad_media"),
        ("uno_bench.jsonl", 0, {"audios": {"first": "audios/17.mp3"}}, "bad_media"),
        ("omnivideobench.json", 0, {"questions": []}, "missing_question"),
        ("cg_av_counting.json", 0, {"answer": "many"}, "bad_answer"),
    ],
)
def test_an_odd_row_is_set_aside_with_its_reason(name, number, fields, reason, tmp_path):
    assert changed(name, tmp_path, number, **fields) == ([], reason)


def test_a_letter_is_no_text_where_options_have_letters(tmp_path):
    """The first option reads "B", and the second "A": the answer A is the first."""
    [sample], _ = changed("mmar_copy.jsonl", tmp_path, choices=["A. B", "B. A"], answer="A")
    assert (sample.options, sample.answer) == (("B", "A"), "A")


def test_a_text_is_no_letter_where_options_have_none(tmp_path):
    [sample], _ = changed("mmar.jsonl", tmp_path, choices=["B", "A"], answer="A")
    assert (sample.options, sample.answer) == (("B", "A"), "B")


def test_one_bad_question_does_not_take_the_others_of_its_film_along(tmp_path):
    good, bad = {"question": "?", "options": ["A.x", "B.y"], "correct_option": "B"}, {"question": 3}
    samples, counts = changed("omnivideobench.json", tmp_path, questions=[bad, "odd", good, good])
    assert [(one.id, one.answer) for one in samples] == [("video_1-3", "B"), ("video_1-4", "B")]
    assert counts == "bad_options"


def test_media_that_several_texts_speak_of_are_no_options(tmp_path):
    """The question names the second sound too, so that taking sounds away leaves it defined."""
    asked = "[img1] Is it [audio2]?"
    [sample], _ = changed("av_odyssey_columns.jsonl", tmp_path, question=asked)
    assert {item.role for item in sample.media} == {"context"}
    names = [Path(item.path).name for item in sample.media]
    assert names == ["2_7.png", "b.wav", "a.wav", "c.wav", "d.wav"]


def test_a_medium_that_two_options_speak_of_is_no_option(tmp_path):
    options = ["A. [audio1]", "B. [audio1]", "C. [audio2]", "D. [audio3]"]
    [sample], _ = changed("av_odyssey_columns.jsonl", tmp_path, options=options)
    assert [item.role for item in sample.media] == ["context"] * 5


def test_an_interval_is_one_answer(tmp_path):
    [sample], _ = changed("video_mmmu.jsonl", tmp_path, 1, answer="[0, 1)")
    assert (sample.answer, sample.answer_type) == ("[0, 1)", "text")


@pytest.mark.parametrize("path", ["videos/aB-3.mkv", "data/aB-3.MP4", "aB-3.webm"])
def test_films_are_found_in_the_folders_of_other_copies(path, tmp_path):
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_bytes(b"film")
    manifest = tmp_path / "video_mme.jsonl"
    manifest.write_text((FIXTURES / "video_mme.jsonl").read_text())
    samples, _ = load(manifest, tmp_path)
    assert {one.asset_id for one in samples} == {path}


def test_media_that_parquet_holds_are_kept_once(tmp_path):
    """OmniBench as Parquet, with the same bytes: the same questions, by their content."""
    expected = excerpt("omnibench.jsonl", tmp_path)
    rows = [row for row in values(FIXTURES / "omnibench.jsonl") if isinstance(row, dict)]
    for row in rows:
        for kind in ("audio", "image"):
            path = row.pop(f"{kind}_path")
            row[kind] = {"bytes": (tmp_path / path).read_bytes(), "path": None}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "omnibench.parquet")
    for _ in range(2):
        samples, counts = load(tmp_path / "omnibench.parquet", tmp_path)
        assert not counts
        assert [one.content_hash for one in samples] == [one.content_hash for one in expected]
        assert [item.text for item in samples[0].media] == [m.text for m in expected[0].media]
    assert len([*(tmp_path / "omnibench-media").iterdir()]) == 4


def test_a_manifest_in_a_folder_names_media_beside_it(tmp_path):
    [first, *_] = load(with_media(FIXTURES / "mmau.json", tmp_path / "mmau"), tmp_path)[0]
    assert first.media[0].path == "mmau/test-mini-audios/3fe64f3d-0a51.wav"


ODD = [None, True, 0, -1, 10**400, 1e308, "", " ", "B", "\0", "[", [], [None], {}, {"A": 1}, [[]]]


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_mutation_of_a_row_ends_in_a_traceback(path, tmp_path):
    """Every value of the first row is replaced by every odd value; each is read or set aside."""
    held = next(iter(values(path)))
    row = rows_of(held)[0]
    manifest = with_media(path, tmp_path).with_suffix(".jsonl")
    keys = [name for name in row if name.lower().replace(" ", "_") in ("id", "qid", "index")]
    rows = [row | {name: value} for name in row for value in ODD]
    for number, one in enumerate(rows):
        one |= dict.fromkeys(keys, f"{number}")
        (tmp_path / f"{number}.mp4").write_bytes(b"film")  # which an id may name
    manifest.write_text("".join(json.dumps(one) + "\n" for one in rows))
    samples, counts = load(manifest, tmp_path, name_of(path))
    assert samples
    assert len(samples) + sum(counts.values()) >= len(rows)
