"""Turns of chats: their media, by tags and typed parts."""

import pytest

from datamodules.sample import Media
from tests.datamodules.sources.generic.conftest import assistant, one, refused, user


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("<audio>Who?", {}),
        ("<audio><audio>Who?", {"audios": ["a.wav"]}),
        ("<image>Who?", {"audios": ["a.wav"]}),
        ("<video>Who?", {"videos": [["1.png", "2.png"]]}),
    ],
)
def test_tags_and_media_that_do_not_match_are_set_aside(tmp_path, text, columns):
    assert refused(tmp_path, user(text), assistant("Ann."), **columns) == "bad_media"


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "missing_question"),
        ([assistant("Hi.")], "missing_question"),
        ([user("Who?")], "missing_answer"),
        ([{"role": "tool", "content": "7"}], "malformed"),
        (["Who?"], "malformed"),
        ([user(7), assistant("Ann.")], "malformed"),
        ([user([{"type": "smell", "smell": "x"}]), assistant("Ann.")], "malformed"),
        ([user("Who?"), assistant("")], "missing_answer"),
    ],
)
def test_chats_without_question_or_answer_are_set_aside(tmp_path, turns, reason):
    assert refused(tmp_path, *turns) == reason


@pytest.mark.parametrize(
    "part",
    [
        {"type": "audio", "audio": "a.wav"},
        {"type": "audio", "path": "a.wav"},
        {"type": "audio", "url": "a.wav"},
        {"type": "audio_url", "audio_url": {"url": "a.wav"}},
    ],
)
def test_typed_parts_name_their_file_in_several_ways(tmp_path, part):
    sample = one(tmp_path, user(["Who?", part]), assistant("Ann."))
    assert sample.media == (Media(modality="audio", path="a.wav"),)


def test_typed_parts_without_a_file_take_the_next_one_beside_them(tmp_path):
    parts = [{"type": "audio"}, {"type": "text", "text": "Who?"}]
    sample = one(tmp_path, user(parts), assistant("Ann."), audios=["a.wav"])
    assert sample.media == (Media(modality="audio", path="a.wav"),)


def test_media_without_tags_come_with_what_is_said_first_as_in_other_trainers(tmp_path):
    turns = (user("Who?"), assistant("Ann."), user("Where?"), assistant("Home."))
    (tmp_path / "i.png").write_bytes(b"PNG")
    sample = one(tmp_path, *turns, audios=["a.wav"], images=["i.png"])
    assert [item.path for item in sample.media] == ["a.wav", "i.png"]
    parts = [{"type": "text", "text": "Who?"}]
    assert len(one(tmp_path, user(parts), assistant("Ann."), audios=["a.wav"]).media) == 1


@pytest.mark.parametrize(
    "turns",
    [
        (user("Who, <audio> or he?"), assistant("Ann.")),
        (user("Listen."), assistant("I do."), user("<audio>Who?"), assistant("Ann.")),
        ({"role": "system", "content": "Hear <audio>."}, user("Who?"), assistant("Ann.")),
    ],
)
def test_tags_that_are_missing_are_the_first_ones_as_in_ms_swift(tmp_path, turns):
    (tmp_path / "b.wav").write_bytes(b"RIFFb")
    (tmp_path / "i.png").write_bytes(b"PNG")
    media = {"audios": ["b.wav", "a.wav"], "images": ["i.png"]}
    shown = [item.path for item in one(tmp_path, *turns, **media).media]
    assert [path for path in shown if path != "i.png"] == ["b.wav", "a.wav"]
    assert len(shown) == 3


def test_typed_parts_miss_no_tags(tmp_path):
    parts = [{"type": "audio"}, {"type": "text", "text": "Who?"}]
    turns = (user(parts), assistant("Ann."))
    assert refused(tmp_path, *turns, audios=["a.wav", "a.wav"]) == "bad_media"


def test_a_medium_that_a_part_and_a_column_name_is_shown_once(tmp_path):
    parts = [{"type": "audio", "audio": "a.wav"}, {"type": "text", "text": "Who?"}]
    sample = one(tmp_path, user(parts), assistant("Ann."), audio_path="a.wav")
    assert sample.media == (Media(modality="audio", path="a.wav"),)


def test_a_medium_in_what_is_answered_sets_the_row_aside(tmp_path):
    (tmp_path / "i.png").write_bytes(b"PNG")
    turns = (user("Draw it."), assistant("Here: <image>"))
    assert refused(tmp_path, *turns, images=["i.png"]) == "bad_media"


def test_parts_may_hold_a_value_and_a_segment(tmp_path):
    film = {"type": "audio", "audio": "a.wav", "audio_start": 1, "audio_end": "00:02", "fps": 2}
    text = {"type": "text", "value": "Who?"}
    answer = [{"type": "text", "value": "Ann."}]
    sample = one(tmp_path, user([film, text]), {"role": "assistant", "content": answer})
    assert sample.media == (Media(modality="audio", path="a.wav", start=1.0, end=2.0),)
    assert (sample.question, sample.answer) == ("Who?", "Ann.")
    beside = {"type": "audio", "start": 1, "end": 2}
    sample = one(tmp_path, user([beside, text]), assistant("Ann."), audios=["a.wav"])
    assert (sample.media[0].start, sample.media[0].end) == (1.0, 2.0)
