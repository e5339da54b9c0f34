"""Nothing in a row goes unread: what an answer may depend on sets it aside, the rest is told."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from datamodules.media.files import MediaError
from datamodules.sample import Sample
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.hints import WORDS
from datamodules.sources.formats import FORMATS, format_of
from datamodules.sources.reader import Reader
from datamodules.sources.row_files import Found
from datamodules.sources.rows import digests, to_sample
from tests.format_media import FIXTURES, values, with_media

EXCERPTS = sorted(
    path
    for path in FIXTURES.iterdir()
    if path.suffix in (".json", ".jsonl")
    if not path.stem.startswith("manifest")
)
VALUES: dict[str, tuple[object, ...]] = {
    "a medium": (
        "x/other.wav",
        "other.mp4",
        ["other.png"],
        {"path": "other.flac"},
        "https://x.org/o.mp3",
    ),
    "a segment": (1.5, "00:01:05", [1, 2.5], {"start": 1}),
    "options": (["x", "y"], "['x', 'y']", "x"),
    "a label of quality": (False, 0.25, "bad", [1, 0]),
    "a second answer": ("x", 7, ["x"], {"text": "x"}),
    "a part of what is said": ([{"name": "x"}], "[{'name': 'x'}]"),
    "a text to be read": ("A man walks in.", ["A man walks in."], {"text": "A man walks in."}),
}
HARMLESS = {
    "difficulty": 3, "difficulty_level": "hard", "license": "CC-BY", "uid": "a-b-c", "uuid": "7f",
    "created_at": "2024-05-01T10:00:00", "timestamp": "2024-05-01", "n_tokens": 512, "seen": True,
    "source_dataset": "audioset.wav-v2", "topic": "birds", "tags": ["a", "b"], "num_options": 4,
    "audio_duration": 12.5, "video_category": "news", "image_width": 640, "has_audio": True,
    "num_frames": 8, "annotator": "Ann", "notes": "We watched it again, all of it. See a.mp4",
    "language": "en", "question_type": "count", "answer_type_source": "gpt", "output_tokens": 7,
    "homepage": "example.org", "metadata": {"license": "CC-BY", "created": 2024}, "version": "1.2",
    "from_dataset": "AVQA", "title": "A walk", "hash": "00ff", "priority": 1, "empty_audio": "",
    "context": "in a car", "background": "music", "story": 3, "explanation": "He says it " * 9,
}  # fmt: skip
"""Facts that no answer depends on, as data sets have them."""


def first_row(path: Path) -> dict[str, object]:
    held = next(iter(values(path)))
    while isinstance(held, list) or path.suffix == ".json":
        if isinstance(held, list):
            return held[0]
        held = next(iter(held.values()))
    return held


class Reading:
    """What becomes of a row of one format."""

    def __init__(self, excerpt: Path, root: Path) -> None:
        self.path = with_media(excerpt, root)
        self.root = root
        names = {one.name for one in FORMATS}
        fitting = [name for name in names if excerpt.stem.startswith(name)]
        self.format = format_of(self.path, max(fitting, key=len))
        self.row = first_row(excerpt)

    def of(self, row: dict[str, object]) -> tuple[list[Sample], dict[str, int], str]:
        """The questions, the fields that are told, and why the row was set aside, if it was."""
        reader = Reader(self.path, self.root, self.format)
        samples = []
        for one in reader.questions(Found(place="x", number=1, row=row)):
            try:
                if isinstance(one, RowError):
                    raise one
                samples.append(to_sample(one, digest=digests(self.root), source="x"))
            except (RowError, MediaError) as error:
                return [], {}, str(error)
        return samples, dict(reader.unread.counts), ""


@pytest.fixture(params=EXCERPTS, ids=lambda path: path.stem)
def reading(request, tmp_path) -> Reading:
    return Reading(request.param, tmp_path)


def spellings(word: str) -> Iterator[str]:
    yield word
    if len(word) > 3 and not word.endswith("s"):
        yield f"{word}s"
    yield f"my{word.title()}2"


def within(row: dict[str, object], name: str, value: object) -> Iterator[dict[str, object]]:
    """The row with a field more in an object of its own, and in each that it holds."""
    yield row | {"more": {name: value}}
    yield row | {"more": [{"deep": {name: value}}]}
    for key, held in row.items():
        if isinstance(held, dict):
            yield row | {key: held | {name: value}}
        if isinstance(held, list) and held and isinstance(held[0], dict):
            yield row | {key: [held[0] | {name: value}, *held[1:]]}


def test_an_excerpt_leaves_nothing_unread_that_an_answer_depends_on(reading):
    samples, _, refused = reading.of(reading.row)
    assert samples and not refused


def test_what_looks_like_a_part_of_a_question_is_read_or_sets_the_row_aside(reading):
    """For every word of every kind, however it is written, wherever it stands."""
    plain, _, refused = reading.of(reading.row)
    assert not refused
    known = {*reading.row, *(name.rpartition(".")[2] for name in reading.format.harmless)}
    silent = []
    for kind, words in WORDS.items():
        for name, value in product(words.split(), VALUES[kind]):
            rows = [reading.row | {one: value} for one in spellings(name) if one not in known]
            rows += [] if name in known else within(reading.row, name, value)
            for row in rows:
                samples, _, refused = reading.of(row)
                if not refused and samples == plain:
                    silent.append((name, value, row))
    assert not silent, (len(silent), silent[0])


def test_harmless_facts_set_no_row_aside_and_are_told_or_kept(reading):
    plain, _, _ = reading.of(reading.row)
    for name, value in HARMLESS.items():
        if name in reading.row:
            continue
        samples, told, refused = reading.of(reading.row | {name: value})
        assert not refused, (name, refused)
        assert value == "" or name in told or name in reading.format.harmless or samples != plain
        assert [one.content_hash for one in samples] == [one.content_hash for one in plain]
