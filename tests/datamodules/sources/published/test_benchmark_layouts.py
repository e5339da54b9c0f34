"""Published sets in the files and folders that their publishers and copies ship."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.sources.formats import is_test_set
from tests.datamodules.sources.published.conftest import changed, load, name_of
from tests.datamodules.sources.published.test_benchmark_golds import ASKED, BARE
from tests.format_media import FIXTURES, values, with_media, write_medium


def file_of(name: str, root: Path, *asked: dict[str, object]) -> list[str]:
    """Read a file with one question for each set of fields; the letters that are right."""
    first = next(
        row
        for held in values(FIXTURES / name)
        for row in (held if isinstance(held, list) else [held])
    )
    manifest = with_media(FIXTURES / name, root).with_suffix(".jsonl")
    field = {"video_r1.json": "problem_id", "video_mme.jsonl": "question_id"}.get(name, "id")
    rows = [first | {field: f"q{number}"} | fields for number, fields in enumerate(asked)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples, counts = load(manifest, root, name_of(Path(name)))
    assert not counts
    return [one.answer for one in samples]


@pytest.mark.parametrize(
    "name",
    ["mmau.json", "mmar.jsonl", "mmsu.jsonl", "video_r1.json", "video_mme.jsonl", "mmvu.jsonl"],
)
def test_a_copy_in_the_other_notation_is_known_by_its_other_answers(name, tmp_path):
    """Of texts and letters only one fits all three; the last by itself could be either."""
    asked, other = ASKED[name], ["x", "y", "z"]
    texts = asked(other, "y"), asked(other, "z"), asked(BARE, "A")
    letters = asked(other, "B"), asked(other, "C"), asked(BARE, "A")
    assert file_of(name, tmp_path / "texts", *texts) == ["B", "C", "C"]
    assert file_of(name, tmp_path / "letters", *letters) == ["B", "C", "A"]


def test_rows_of_video_mmmu_are_known_by_the_ids_of_its_films(tmp_path):
    """Perception and comprehension have no type of question, and may have nothing else to tell."""
    rows = [
        {"id": "test_Music_12", "question": "?", "options": ["a", "b"], "answer": "B"},
        {"id": "dev_Art_Theory_2", "question": "?", "options": ["A. a", "B. b"], "answer": "A"},
    ]
    with_media(FIXTURES / "video_mmmu.jsonl", tmp_path)
    manifest = tmp_path / "perception.jsonl"
    for link in ({}, {"link_selected": "https://example.org/watch?v=m12"}):
        manifest.write_text("".join(json.dumps(row | link) + "\n" for row in rows))
        samples, counts = load(manifest, tmp_path)
        assert not counts
        assert [(one.source, one.answer) for one in samples] == [
            ("video_mmmu", "B"),
            ("video_mmmu", "A"),
        ]
        assert [one.media[0].path for one in samples] == [
            "Art/test_Music_12.mp4",
            "dev_Art_Theory_2.mp4",
        ]
        assert is_test_set(manifest)


def test_rows_of_our_own_are_not_taken_for_video_mmmu(tmp_path):
    own = {"question": "?", "options": ["a", "b"], "answer": "B"}
    for row in ({"id": "test_birds_12"}, {"id": "test_Art_1", "media": []}):
        (tmp_path / "own.jsonl").write_text(json.dumps(own | row) + "\n")
        assert [one.source for one in load(tmp_path / "own.jsonl", tmp_path)[0]] == ["own"]


def test_tracks_of_video_mmmu_in_one_file_are_told_apart(tmp_path):
    """They ask about the same films under the same ids, in an object of objects."""
    row = {"id": "test_Music_12", "question": "?", "options": ["a", "b"], "answer": "B"}
    with_media(FIXTURES / "video_mmmu.jsonl", tmp_path)
    tracks = ("Perception", "Comprehension", "Adaptation")
    manifest = tmp_path / "all.json"
    manifest.write_text(json.dumps({track: {"0": row | {"question": track}} for track in tracks}))
    samples, counts = load(manifest, tmp_path)
    assert not counts
    assert [one.id for one in samples] == [f"{track}-test_Music_12" for track in tracks]
    assert [one.facts["split"] for one in samples] == [*tracks]
    assert {one.source for one in samples} == {"video_mmmu"}


FILM = {
    "video_id": "kLmN",
    "video_duration": "60s",
    "duration": "<1min",
    "domain": "Music",
    "sub_category": "Jazz",
    "audio_class": ["Speech"],
    "video_caption": "A band plays.",
}


def test_worldsense_is_read_as_its_publisher_ships_it(tmp_path):
    """An object of films, each with its questions; a bad one takes no other with it."""
    task = {"task_domain": "Daily Life", "task_type": "Audio Counting", "question": "?"}
    good = task | {"candidates": ["A. x", "B. y"], "answer": "B"}
    held = {"kLmN": FILM | {"task0": good, "task1": good | {"answer": "E"}, "task2": good}}
    write_medium(tmp_path / "videos/kLmN.mp4")
    (tmp_path / "subtitles").mkdir()
    (tmp_path / "subtitles/kLmN.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    (tmp_path / "worldsense_qa.json").write_text(json.dumps(held))
    samples, counts = load(tmp_path / "worldsense_qa.json", tmp_path)
    assert counts == {"bad_answer": 1}
    assert [(one.id, one.answer) for one in samples] == [("kLmN-task0", "B"), ("kLmN-task2", "B")]
    assert samples[0].media[0].path == "videos/kLmN.mp4"
    assert samples[0].media[0].text == "Hello"
    assert samples[0].facts["domain"] == "Music"
    assert is_test_set(tmp_path / "worldsense_qa.json")


def test_worldsense_is_read_from_the_table_that_is_made_of_it(tmp_path):
    row = {**FILM, "index": 3, "video": "kLmN", "video_path": "./videos/kLmN.mp4"}
    row |= {"audio_path": "./audios/kLmN.wav", "subtitle_path": "./subtitles/kLmN.srt"}
    row |= {"candidates": "['A. x', 'B. y']", "answer": "B", "question": '"Now" she said?'}
    row |= {"task_domain": "Daily Life", "task_type": "Audio Counting", "audio_class": "['Speech']"}
    write_medium(tmp_path / "videos/kLmN.mp4")
    with (tmp_path / "WorldSense.tsv").open("w", newline="") as file:
        table = csv.DictWriter(file, [*row], delimiter="\t")
        table.writeheader()
        table.writerow(row)
    [sample], counts = load(tmp_path / "WorldSense.tsv", tmp_path)
    assert not counts
    assert (sample.source, sample.id, sample.answer) == ("worldsense", "worldsense-3", "B")
    assert sample.question == '"Now" she said?'


def test_media_of_omnibench_lie_where_its_repository_has_them(tmp_path):
    fields = {"audio_path": "6-195.mp4.mp3", "image_path": "6-195.png"}
    for path in ("mm_data/audio/6-195.mp4.mp3", "mm_data/image/6-195.png"):
        write_medium(tmp_path / path)
    [sample], _ = changed("omnibench.jsonl", tmp_path, **fields)
    paths = [item.path for item in sample.media]
    assert paths == ["mm_data/image/6-195.png", "mm_data/audio/6-195.mp4.mp3"]


def test_the_same_sound_may_be_named_twice_but_not_two_sounds(tmp_path):
    """lmms-eval's copy of MMAU holds the bytes beside the published path."""
    for number, (path, reason) in enumerate(
        (("x/3fe64f3d-0a51.wav", ""), ("other.wav", "bad_media"))
    ):
        samples, counts = changed("mmau.json", tmp_path / str(number), audio_path=path)
        assert (len(samples), counts) == (1 - bool(reason), reason)


def test_bytes_are_used_where_the_published_path_has_no_file(tmp_path):
    manifest = with_media(FIXTURES / "mmar.jsonl", tmp_path)
    row = json.loads(manifest.read_text().splitlines()[0])
    data = (tmp_path / row["audio_path"]).read_bytes()
    (tmp_path / row["audio_path"]).unlink()
    row["audio"] = {"bytes": data, "path": "BV1xx.wav"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "mmar.parquet")
    [sample], counts = load(tmp_path / "mmar.parquet", tmp_path)
    assert not counts
    assert (tmp_path / sample.media[0].path).read_bytes() == data


@pytest.mark.parametrize("folder", ["videos_cropped", "videos/videos_cropped"])
def test_films_of_video_holmes_are_found_as_it_unpacks_them(folder, tmp_path):
    write_medium(tmp_path / folder / "HzW5.mp4")
    manifest = tmp_path / "test_Video-Holmes.json"
    manifest.write_text((FIXTURES / "video_holmes.json").read_text())
    samples, _ = load(manifest, tmp_path)
    assert {one.media[0].path for one in samples} == {f"{folder}/HzW5.mp4"}


@pytest.mark.parametrize("name", ["image", "image 1", "image_1"])
def test_the_picture_of_video_mmmu_is_shown_whatever_its_column_is_called(name, tmp_path):
    fields = {"image": "absent", name: "images/p3.png"}
    [sample], counts = changed("video_mmmu.jsonl", tmp_path, **fields)
    assert not counts
    assert [item.path for item in sample.media] == [
        "Science/validation_Physics_3.mp4",
        "images/p3.png",
    ]
