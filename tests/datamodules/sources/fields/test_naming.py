"""Values that name or hold media, times and marks of quality, whatever they are called."""

import base64
import json
from pathlib import Path

import pytest

from datamodules.sample import Sample
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine

ASKED = {"question": "What happens then?", "answer": "dog"}
HEARD = ASKED | {"audio": "a.wav"}
SEEN = ASKED | {"video": "v.mp4"}
WORDS = "Ann went to the market and bought three apples and two pears."


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("a.wav", "b.wav", "v.mp4", *(f"{number}.png" for number in range(1, 12))):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def read(root: Path, *rows: dict[str, object]) -> list[Sample]:
    path = root / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        return read_manifest(path, root, Quarantine(max_bad_share=1.0))
    except ValueError as error:
        assert "columns are not read" in str(error)
        return []


def inside(head: bytes) -> str:
    return base64.b64encode(head + bytes(range(200))).decode()


HELD = (
    *(inside(b"\xff\xd8\xff"), inside(b"\x89PNG\r\n\x1a\n"), inside(b"RIFF1234WAVE")),
    *(inside(b"\0\0\0\x1cftypisom"), inside(b"OggS"), inside(b"fLaC"), inside(b"\x1aE\xdf\xa3")),
    *("data:image/png;base64,AAAA", "data:audio/wav;base64,AAAA"),
)
ENDINGS = (
    *("jfif", "apng", "mts", "m2ts", "vob", "3g2", "f4v", "qt", "sph", "snd", "mp2", "mka", "weba"),
    *("spx", "AIFC", "voc", "8svx"),
)
ELSEWHERE = (
    *("https://youtu.be/dQw4w9WgXcQ", "www.youtube.com/watch?v=x", "https://m.bilibili.com/v/1"),
    *("s3://bucket/clip", "file:///x/y", "/clips/a/00123", "../clips/00123", "~/clips/00123"),
    *("feats/x.npy", "x.pdf", "shard-0001.tar", [0.5] * 32, [[1, 2, 3, 4]] * 8),
)


@pytest.mark.parametrize("value", HELD)
def test_a_file_in_a_text_is_a_medium_whatever_its_column_is_called(root, value):
    for row in (ASKED, HEARD):
        assert read(root, row | {"figure": value}) == []
        assert read(root, row | {"more": {"deep": [value]}}) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_is_a_medium_by_its_ending(root, ending):
    assert read(root, HEARD | {"anything": f"x/1.{ending}"}) == []


@pytest.mark.parametrize("value", ELSEWHERE)
def test_what_is_seen_or_heard_elsewhere_is_missed_where_nothing_is_shown(root, value):
    assert read(root, ASKED | {"anything": value}) == []
    assert read(root, ASKED | {"more": {"deep": value}}) == []
    assert len(read(root, HEARD | {"anything": value})) == 1


@pytest.mark.parametrize("name", ["vid", "vid_id", "yt_id", "file_name", "fname", "webm", "ogg"])
def test_a_name_of_a_medium_without_an_ending_is_missed(root, name):
    assert read(root, ASKED | {name: "00123abc"}) == []


def test_columns_of_media_come_in_the_order_of_their_numbers(root):
    numbers = [1, 10, 11, *range(2, 10)]
    [one] = read(root, ASKED | {f"image_{number}": f"{number}.png" for number in numbers})
    assert [item.path for item in one.media] == [f"{number}.png" for number in range(1, 12)]


SPANS = (
    *({"scope": "00:00:01-00:00:02"}, {"when": "00:01 --> 00:02"}, {"at": "1s-2s"}),
    *({"ts": [1, 2]}, {"seconds": "1-2"}, {"boundary": [1, 2]}, {"duration": [1, 2]}),
    *({"crop": [1.5, 2]}, {"position": [1, 2]}, {"t0": 1, "t1": 2}, {"st": 1.5, "ed": 2.5}),
    *({"tstart": 1, "tend": 2}, {"ss": 1, "to": 2}, {"tspan": [1, 2]}, {"start": "1 min"}),
)


@pytest.mark.parametrize("columns", SPANS)
def test_two_times_are_a_segment_whatever_they_are_called(root, columns):
    assert read(root, SEEN | columns) == []


def test_seconds_may_have_their_word_and_a_clock_its_comma(root):
    [one] = read(root, SEEN | {"start": "1 sec", "end": "2.5 seconds"})
    assert (one.media[0].start, one.media[0].end) == (1.0, 2.5)
    [one] = read(root, SEEN | {"start": "00:00:01,500", "end": "00:01:02"})
    assert (one.media[0].start, one.media[0].end) == (1.5, 62.0)


BAD = (
    *({"valid": False}, {"is_good": "no"}, {"verified": 0}, {"answerable": "False"}),
    *({"accepted": False}, {"weight": 0}, {"invalid": True}, {"is_noisy": "true"}, {"flagged": 1}),
    *({"status": "rejected"}, {"review": "fail"}, {"quality": "bad"}, {"verdict": "incorrect"}),
    *({"winner": "B"}, {"votes": -3}, {"thumbs_up": False}, {"helpfulness": 0}),
)
FINE = (
    *({"valid": True}, {"verified": 1}, {"invalid": False}, {"noisy": 0}, {"weight": 1.0}),
    *({"status": "done"}, {"quality": "high"}, {"audio_quality": "poor"}, {"reviewed": False}),
)


@pytest.mark.parametrize("columns", BAD)
def test_a_row_that_says_it_is_bad_is_set_aside(root, columns):
    assert read(root, HEARD | columns) == []


@pytest.mark.parametrize("columns", FINE)
def test_a_row_that_says_it_is_good_is_read(root, columns):
    assert len(read(root, HEARD | columns)) == 1


@pytest.mark.parametrize("name", ["aliases", "synonyms", "expected_output", "reply", "corrected"])
def test_another_answer_by_another_name_sets_the_row_aside(root, name):
    assert read(root, HEARD | {name: ["hound"]}) == []


@pytest.mark.parametrize("name", ["negatives", "foils", "wrong_1", "hard_negatives", "decoys"])
def test_what_is_not_the_answer_is_an_option(root, name):
    columns = {name: "cat", name.replace("1", "2"): "cow"}
    assert read(root, HEARD | (columns if "1" in name else {name: ["cat", "cow"]})) == []


@pytest.mark.parametrize("menu", ["cat|dog|pig", "A. cat B. dog C. pig", "A. cat\nB. dog\nC. pig"])
@pytest.mark.parametrize("answer", ["B", "dog"])
def test_options_in_one_cell_are_not_lost(root, menu, answer):
    assert read(root, HEARD | {"answer": answer, "menu": menu}) == []


MISSED = (
    *("![](x.png) What?", '<img src="x.png"> What?', "<audio src='x.wav'></audio> What?"),
    *("<video controls src=x.mp4> What?", "<source src='x'> What?", "<image> What?"),
)


@pytest.mark.parametrize("question", MISSED)
def test_a_file_in_a_page_is_a_medium_that_must_be_shown(root, question):
    assert read(root, HEARD | {"question": question}) == []
    own = {"id": "1", "question": question, "answer": "dog", "answer_type": "text"}
    assert read(root, own) == []


def test_a_place_for_a_sound_is_not_filled_by_a_picture(root):
    row = {"question": "<audio> What?", "answer": "dog"}
    assert read(root, row | {"image": "1.png"}) == []
    for column in ({"audio": "a.wav"}, {"video": "v.mp4"}):
        assert [one.question for one in read(root, row | column)] == ["What?"]
    own = {"id": "1", "question": "<|audio_bos|> What?", "answer": "dog", "answer_type": "text"}
    assert read(root, own | {"media": [{"modality": "image", "path": "1.png"}]}) == []
    assert len(read(root, own | {"media": [{"modality": "audio", "path": "a.wav"}]})) == 1


@pytest.mark.parametrize("answer", ["0042", "007", "00"])
def test_a_code_is_told_digit_by_digit(root, answer):
    [one] = read(root, HEARD | {"answer": answer})
    assert (one.answer, one.answer_type) == (answer, "text")
