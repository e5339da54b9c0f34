"""JSON files whose questions stand in objects: which are found, and what their names still say."""

import json
from pathlib import Path

import pytest

from datamodules.sources.answers.normalize import RowError
from datamodules.sources.row_files import read_rows

ASKED = {"question": "What barks?", "answer": "a dog"}
ALSO = {"question": "What mews?", "answer": "a cat"}
NAMED = ASKED | {"id": 3}
FILM = {"id": 7, "duration": 3}


def rows(path: Path, held: object) -> list[object]:
    path.write_text(json.dumps(held))
    return [one.row for one in read_rows(path)]


@pytest.mark.parametrize(
    "held",
    [
        [ASKED, ALSO],
        {"0": ASKED, "1": ALSO},
        {"data": [ASKED, ALSO]},
        {"test": [ASKED, ALSO]},
        {"test": {"0": ASKED, "1": ALSO}},
        {"data": {"test": [ASKED, ALSO]}},
        {"info": {"version": "1.0"}, "questions": [ASKED, ALSO]},
        {"videos": [FILM, FILM], "questions": [ASKED, ALSO], "licenses": [{"id": 1}]},
        {"version": "1.0", "count": 2, "questions": [ASKED, ALSO]},
    ],
)
def test_questions_are_found_wherever_they_stand(held, tmp_path):
    assert rows(tmp_path / "a.json", held) == [ASKED, ALSO]


def test_a_name_that_is_no_count_is_the_id_of_a_row_without_one(tmp_path):
    held = {"q1": ASKED, "q2": ALSO | {"id": "own"}}
    assert rows(tmp_path / "a.json", held) == [{"id": "q1"} | ASKED, ALSO | {"id": "own"}]


def test_a_name_that_is_a_file_is_what_the_row_is_about(tmp_path):
    """As an id it would leave a question about a film without any."""
    held = {"v1.mp4": ASKED, "clips/b.wav": ALSO, "c.png": ALSO | {"image": "own.png"}}
    assert rows(tmp_path / "a.json", held) == [
        {"video": "v1.mp4"} | ASKED,
        {"audio": "clips/b.wav"} | ALSO,
        ALSO | {"image": "own.png"},
    ]


def test_parts_that_belong_together_are_read_in_order_and_named(tmp_path):
    asked, also = ASKED | {"id": 1}, ALSO | {"video": "v.mp4"}
    held = {"Perception": {"0": asked}, "Adaptation": [also, also | {"split": "own"}]}
    assert rows(tmp_path / "a.json", held) == [
        {"split": "Perception"} | asked,
        {"split": "Adaptation"} | also,
        also | {"split": "own"},
    ]
    places = [one.place for one in read_rows(tmp_path / "a.json")]
    assert places[0].endswith("a.json[Perception][0]")
    assert places[2].endswith("a.json[Adaptation][1]")


@pytest.mark.parametrize(
    "held",
    [
        {"train": [NAMED], "test": [NAMED]},
        {"train": {"0": NAMED}, "val": {"0": NAMED}},
        {"data": {"train": [NAMED], "dev": [NAMED]}},
        {"train_v1": [NAMED], "Test-mini": [NAMED]},
        {f"part_{number}": [NAMED] for number in range(11)},
        {"video_1": [ASKED], "video_2": [ALSO]},
    ],
)
def test_parts_that_must_not_be_mixed_are_refused(held, tmp_path):
    """Of splits one is trained on and one is not; else their names say what is asked about."""
    with pytest.raises(ValueError, match=r"lists of questions \(.*one list"):
        rows(tmp_path / "a.json", held)


@pytest.mark.parametrize(
    "held",
    [
        {"video": "v1", "video_type": "Vlog", "questions": [ASKED, ALSO]},
        {"film": "clips/v1.webm", "questions": [ASKED]},
        {"messages": [{"role": "user", "content": "?"}], "images": ["a.png"]},
        ASKED,
    ],
)
def test_an_object_that_says_what_is_asked_about_is_one_row(held, tmp_path):
    """Reading only the list in it would lose the film."""
    assert rows(tmp_path / "a.json", held) == [held]


def test_questions_about_a_film_stand_in_it_with_its_name(tmp_path):
    held = {"v1": {"duration": "short", "task0": ASKED}, "v2": {"duration": "long", "task0": ALSO}}
    found = rows(tmp_path / "a.json", held)
    assert found == [{"id": name} | row for name, row in held.items()]


@pytest.mark.parametrize(
    "held", ["text", 7, {}, {"a": 1}, {"info": {"n": 2}}, {"a": [1, 2]}, {"a": {"b": {"c": {}}}}]
)
def test_a_file_without_questions_says_so(held, tmp_path):
    with pytest.raises(ValueError, match=r"holds 0 lists of questions"):
        rows(tmp_path / "a.json", held)


def test_objects_without_end_are_no_traceback(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": ' * 900 + "{}" + "}" * 900)
    with pytest.raises(ValueError, match=r"holds 0 lists of questions|is not JSON"):
        list(read_rows(path))


def test_lines_that_are_named_json_are_lines(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('\ufeff{"a": 1}\r\n{"a": 2}\r\n{"a"\r\n')
    found = [one.row for one in read_rows(path)]
    assert found[:2] == [{"a": 1}, {"a": 2}]
    assert isinstance(found[2], RowError)
    assert [one.place for one in read_rows(path)][1] == f"{path}:2"


def test_an_object_with_a_field_twice_is_not_read_by_half(tmp_path):
    lines, whole = tmp_path / "a.jsonl", tmp_path / "a.json"
    lines.write_text('{"a": {"answer": "A", "answer": "B"}}\n{"a": 1}\n')
    first, second = [one.row for one in read_rows(lines)]
    assert isinstance(first, RowError)
    assert "names 'answer' twice" in str(first)
    assert second == {"a": 1}
    whole.write_text('[{"answer": "A", "answer": "B"}]')
    (only,) = read_rows(whole)
    assert isinstance(only.row, RowError)
    assert "names 'answer' twice" in str(only.row)
