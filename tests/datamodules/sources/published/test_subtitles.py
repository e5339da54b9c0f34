"""Subtitles beside a film: its words, of the part that is shown."""

import json

import pytest

from tests.datamodules.sources.published.conftest import changed, excerpt

SUBRIP = """1
00:00:01,000 --> 00:00:02,500
<font color="white" size=".72c">We leave</font>

2
00:00:03,000 --> 00:00:04,000
at
7
"""


def test_subtitles_are_the_words_of_a_film(tmp_path):
    (tmp_path / "subtitles").mkdir()
    (tmp_path / "subtitles/kLmN.srt").write_text(SUBRIP)
    assert excerpt("worldsense.jsonl", tmp_path)[0].media[0].text == "We leave at 7"


def test_subtitles_of_a_part_of_a_film_are_those_of_the_part(tmp_path):
    """The part begins at 10 s and lasts 20 s: what is said at 8, 31.5 and after 40 is outside."""
    lines = [
        {"start": "00:00:07.000", "end": "00:00:09.000", "line": "Before."},
        {"timestamp": [11, 13], "text": "Look"},
        {"timestamp": [29.0, None], "text": "here."},
        {"start": "00:00:31.000", "end": "00:00:32.000", "line": "After."},
    ]
    (tmp_path / "subtitles").mkdir()
    (tmp_path / "subtitles/xY_en.json").write_text(json.dumps(lines))
    part = {"starting_timestamp_for_subtitles": 10, "duration": 20}
    [sample], _ = changed("longvideobench.json", tmp_path, **part)
    assert sample.media[0].text == "Look here."


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b'{"a": 1}', b"[3, {}]"])
def test_a_question_with_damaged_subtitles_is_asked_without(content, tmp_path):
    (tmp_path / "xY_en.json").write_bytes(content)
    assert {
        item.text for one in excerpt("longvideobench.json", tmp_path) for item in one.media
    } == {""}


def test_subtitles_stay_inside_the_data_root(tmp_path):
    (tmp_path / "secret.srt").write_text(SUBRIP)
    for path in ("../secret.srt", str(tmp_path / "secret.srt")):
        [sample], _ = changed("worldsense.jsonl", tmp_path / "root", subtitle_path=path)
        assert sample.media[0].text == ""
