"""Columns: options and answers in every way that publishers write them."""

import base64

import pytest

from datamodules.sources.adapter import Place
from datamodules.sources.answers.golds import Golds
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import (
    answer_of,
    facts,
    file_of,
    listed,
    offered,
    tagged,
    text_of,
)

TEXT, LETTER, INDEX = (Golds(ways=(way,)) for way in ("text", "letter", "from_0"))
ANIMALS = ["a cat", "A dog", "an owl"]


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(root=tmp_path, directory="sets", name="train", number=7)


@pytest.mark.parametrize(
    "value", [["x", 2], "['x', '2']", '["x", 2]', {"B": 2, "A": "x"}, {"A": "x", "B": 2, "C": None}]
)
def test_options_are_a_list_or_hold_one(value):
    assert [*offered(value).texts] == ["x", "2"]


@pytest.mark.parametrize("value", [None, "", [], [None, ""], {}, {"A": None, "B": ""}])
def test_no_options_are_no_options(value):
    assert [*offered(value).texts] == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x or y", "bad_options"),
        ("['x'", "bad_options"),
        ("[" * 15_000, "bad_options"),
        ("['x']" + " " * 20_000 + "#", "bad_options"),
        ("{'x': 1}", "bad_options"),
        (7, "bad_options"),
        ({"B": "x", "C": "y"}, "bad_options"),
        (dict.fromkeys("ABCDEFGHIJK", "x"), "bad_options"),
        ([None, "x"], "bad_options"),
        ([["x"], "y"], "bad_answer"),
    ],
)
def test_options_that_are_no_list_are_refused(value, reason):
    with pytest.raises(RowError) as raised:
        offered(value)
    assert raised.value.reason == reason


def test_a_list_in_a_text_is_read_and_never_run():
    assert listed("['it''s', 1, None]") == ["its", 1, None]
    with pytest.raises(RowError, match="is no list"):
        listed("[__import__('os').getcwd()]")


@pytest.mark.parametrize(
    ("value", "how", "answer"),
    [
        ("a cat", TEXT, "a cat"),
        (" a  DOG ", TEXT, "A dog"),
        ("B", LETTER, "A dog"),
        ("(C)", LETTER, "an owl"),
        ("C. an owl", LETTER, "an owl"),
        (0, INDEX, "a cat"),
        ("2.0", INDEX, "an owl"),
        ("2", INDEX, "an owl"),
        ("<answer> C </answer>", Golds(), "an owl"),
        ("It hoots. <answer>an owl</answer>", Golds(), "an owl"),
        ("B)", Golds(), "A dog"),
    ],
)
def test_an_answer_names_an_option(value, how, answer):
    assert answer_of(value, ANIMALS, how) == answer


@pytest.mark.parametrize(
    ("value", "how"),
    [
        ("B", TEXT),
        ("a dog", LETTER),
        ("D", LETTER),
        ("b", LETTER),
        ("B. a cat", LETTER),
        (3, INDEX),
        (-1, INDEX),
        (True, INDEX),
        ("B", INDEX),
        ("<answer>D</answer>", Golds()),
        (1, Golds(ways=(TEXT, LETTER))),
    ],
)
def test_an_answer_beyond_the_options_is_refused(value, how):
    with pytest.raises(RowError, match=r"answer is .* names one of the options") as raised:
        answer_of(value, ANIMALS, how)
    assert raised.value.reason == "bad_answer"


def test_a_text_that_two_options_nearly_are_names_neither():
    assert answer_of("Re", ["RE", "re", "Re"], TEXT) == "Re"
    with pytest.raises(RowError):
        answer_of("rE", ["RE", "re"], TEXT)


def test_what_is_the_text_of_one_option_and_the_letter_of_another_is_neither_by_itself():
    """A format says what its answers are, and else the whole file does (test_golds.py)."""
    assert answer_of("A", ["B", "A"], TEXT) == "A"
    assert answer_of("A", ["B", "A"], LETTER) == "B"
    assert answer_of("A", ["B", "a"], Golds()) == "B"
    with pytest.raises(RowError, match=r"could be its text of 'A' and its letter of 'B'"):
        answer_of("A", ["B", "A"], Golds())


@pytest.mark.parametrize("value", [None, "", float("nan"), []])
def test_an_empty_answer_is_missing(value):
    with pytest.raises(RowError) as raised:
        answer_of(value, ANIMALS, Golds())
    assert raised.value.reason == "missing_answer"


def test_the_last_tags_hold_the_answer_and_half_a_pair_holds_none():
    assert tagged("<answer>x</answer> no, <answer> y </answer>") == "y"
    assert tagged("<answer>x") == "<answer>x"


def test_facts_are_texts_under_plain_names():
    row = {"sub-category": "Birds", "n": 3, "seen": False, "tags": ["a", "b"], "empty": ""}
    row |= {"meta": {"k": 1}, "nan": float("nan"), "other": "x"}
    found = facts(row, "sub-category", "n", "seen", "tags", "empty", "meta", "nan", "absent")
    expected = {"sub_category": "Birds", "n": "3", "seen": "False", "tags": "a, b"}
    assert found == expected | {"meta": '{"k": 1}'}


def test_the_first_column_that_is_filled_is_read():
    assert text_of({"a": "", "b": 7, "c": "x"}, "a", "b", "c") == "7"
    with pytest.raises(RowError, match=r"a or d is 'None'.*data\.format") as raised:
        text_of({"a": ""}, "a", "d")
    assert raised.value.reason == "missing_column"


def test_media_are_found_beside_their_manifest(place):
    assert file_of("./clips/a.wav", place) == "sets/clips/a.wav"
    assert file_of({"path": "a.wav", "bytes": None}, place) == "sets/a.wav"
    assert place.path("/data/a.wav") == "/data/a.wav"
    assert place.path("file:///data/a.wav") == "file:///data/a.wav"
    assert place.id == "sets/train-7"


def test_media_in_a_row_are_written_once_under_their_content(place, tmp_path):
    kept = file_of({"bytes": b"sound", "path": "x/Siren.FLAC"}, place)
    again = file_of({"bytes": b"sound", "path": "y/other.flac"}, place)
    other = file_of(b"noise", place, ".wav")
    assert kept == again != other
    assert kept.startswith("sets/train-media/") and kept.endswith(".flac")
    assert other.endswith(".wav")
    assert (tmp_path / kept).read_bytes() == b"sound"
    assert len([*(tmp_path / "sets" / "train-media").iterdir()]) == 2


@pytest.mark.parametrize(
    ("value", "ending"),
    [
        (base64.b64encode(b"RIFF" * 99).decode(), ""),
        ("data:audio/wav;base64," + base64.b64encode(b"RIFF" * 99).decode(), ".wav"),
        ({"url": "data:image/png;base64," + base64.b64encode(b"RIFF" * 99).decode()}, ".png"),
        ({"image_url": {"url": "data:image/png;base64,UklGRg=="}}, ".png"),
        ({"input_audio": {"data": "UklGRg==", "format": "mp3"}}, ".mp3"),
    ],
)
def test_a_medium_may_stand_in_a_text(place, tmp_path, value, ending):
    file = tmp_path / file_of(value, place)
    assert file.suffix == ending
    assert file.read_bytes().replace(b"RIFF", b"") == b""


@pytest.mark.parametrize("name", ["clips/" + "a" * 300 + ".wav", "a" * 20, "data:image/png,x"])
def test_a_path_is_no_medium_in_a_text(place, name):
    assert file_of(name, place) == f"sets/{name}"


def test_a_medium_that_cannot_be_kept_stops_the_run(place, tmp_path):
    (tmp_path / "sets").write_text("no directory")
    with pytest.raises(ValueError, match=r"cannot be written .* beside it: make its directory"):
        place.keep(b"sound")


@pytest.mark.parametrize("name", ["../../evil/.sh/x", ".wav/../../x", "x" * 300, "\x00.a"])
def test_a_name_in_a_row_leads_nowhere(place, tmp_path, name):
    kept = file_of({"bytes": b"sound", "path": name}, place)
    assert (tmp_path / kept).parent == tmp_path / "sets" / "train-media"


def test_the_first_of_several_layouts_is_the_one_that_exists(place, tmp_path):
    (tmp_path / "sets" / "b").mkdir(parents=True)
    (tmp_path / "sets" / "b" / "1.mp4").touch()
    assert place.first_of(["a/1.mp4", "b/1.mp4"]) == "sets/b/1.mp4"
    assert place.first_of(["a/2.mp4", "b/2.mp4", "x" * 300, "\0"]) == "sets/a/2.mp4"


@pytest.mark.parametrize("value", [None, "", 3, {}, {"bytes": b""}, ["a.wav"]])
def test_what_is_no_medium_is_refused(place, value):
    with pytest.raises(RowError, match="is no medium"):
        file_of(value, place)
