"""What a row shows and offers is read under the names that people give it, or sets it aside."""

import csv
import json
from pathlib import Path

import pytest

from datamodules.sample import Sample
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine

ASKED = {"question": "Who?", "answer": "Ann"}
CHAT = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann"}]}
VERL = {
    "prompt": [{"role": "user", "content": "Who?"}],
    "reward_model": {"ground_truth": "Ann", "style": "rule"},
    "data_source": "x",
}
A, V, P = ("audio", "a.wav"), ("video", "v.webm"), ("image", "i.png")


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("a.wav", "b.wav", "v.webm", "i.png", "j.png"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def read(root: Path, *rows: dict[str, object], ending: str = ".jsonl") -> list[Sample]:
    path = root / f"train{ending}"
    if ending == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        with path.open("w", newline="") as file:
            out = csv.DictWriter(file, [*rows[0]], delimiter="\t" if ending == ".tsv" else ",")
            out.writeheader()
            out.writerows(rows)
    return read_manifest(path, root, Quarantine(max_bad_share=1))


def media(sample: Sample) -> list[tuple[str, str]]:
    return [(item.modality, item.path) for item in sample.media]


def segment(root: Path, *columns: dict[str, object]) -> list[tuple[str, object, object]]:
    """What is shown of each medium of a row, of columns and of a chat alike; none if set aside."""
    more = {name: value for one in columns for name, value in one.items()}
    found = [read(root, row | more) for row in (ASKED, CHAT, VERL)]
    shown = [[(m.path, m.start, m.end) for one in some for m in one.media] for some in found]
    assert shown[0] == shown[1] == shown[2]
    return shown[0]


@pytest.mark.parametrize("row", [ASKED, CHAT, VERL], ids=["columns", "chat", "verl"])
@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("audio_path", "a.wav", [A]),
        ("audioFile", "a.wav", [A]),
        ("sound", "a.wav", [A]),
        ("wav", "./a.wav", [A]),
        ("video_path", "v.webm", [V]),
        ("clip", "v.webm", [V]),
        ("image_file", "i.png", [P]),
        ("image_path", ["i.png", "j.png"], [P, ("image", "j.png")]),
        ("file_name", "a.wav", [A]),
        ("path", "v.webm", [V]),
        ("media", ["a.wav", "i.png"], [A, P]),
        ("media", [{"type": "image", "path": "i.png"}, {"audio": "a.wav"}], [P, A]),
        ("multi_modal_data", {"image": ["i.png"], "audio": "a.wav"}, [P, A]),
        ("images", [{"bytes": None, "path": "i.png"}], [P]),
        ("images", [{"image_url": {"url": "i.png"}}], [P]),
        ("audios", "['a.wav', 'b.wav']", [A, ("audio", "b.wav")]),
        ("audios", [""], []),
        ("audios", [None], []),
        ("audios", ["a.wav", None], [A]),
    ],
)
def test_media_are_found_by_the_name_of_their_column_or_by_their_ending(
    root, row, name, value, shown
):
    [sample] = read(root, row | {name: value})
    assert sorted(media(sample)) == sorted(shown)


@pytest.mark.parametrize("row", [ASKED, CHAT, VERL], ids=["columns", "chat", "verl"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stimulus", "a.wav"),
        ("extra", {"deep": [{"x": "a.wav"}]}),
        ("extra", '{"x": "a.wav"}'),
        ("clip", "a"),
        ("question_audio", "a.wav"),
        ("audio_url", "https://example.org/a.wav"),
        ("link_selected", "https://www.youtube.com/watch?v=x"),
        ("video_id", "dev_Art_1"),
        ("videos", [["i.png", "j.png"]]),
        ("video", "i.png"),
        ("images", [{"path": "i.png", "url": "j.png"}]),
        ("images", [{"path": "i.png", "mask": "j.png"}]),
        ("audio", 7),
    ],
)
def test_a_row_whose_medium_is_not_read_is_set_aside(root, row, name, value):
    assert read(root, row | {name: value}) == []


def test_a_medium_that_is_told_of_twice_is_one(root):
    twice = {"audio": "a.wav", "audio_path": "./a.wav", "audio_url": "https://x.org/1.wav"}
    told = {"audio_id": "a", "audio_name": "A walk", "origin": "clips/a.wav", "link": "x.org/a"}
    told |= {"video_id": "aB-3", "ytid": "aB-3", "audio_caption": "A dog barks."}
    [sample] = read(root, ASKED | twice | told)
    assert media(sample) == [A]
    [sample] = read(root, ASKED | {"image_1": "i.png", "image_2": "j.png"})
    assert media(sample) == [P, ("image", "j.png")]


@pytest.mark.parametrize(
    "columns",
    [
        {"start": 65, "end": 70.5},
        {"start_time": "65", "end_time": "70.5s"},
        {"audio_start": "00:01:05", "audio_end": "1:10.5"},
        {"startSec": 65.0, "stop_sec": 70.5},
        {"start_ms": 65000, "end_ms": 70500},
        {"segment": [65, 70.5]},
        {"timestamp": "[65, 70.5]"},
        {"time_range": "00:01:05-00:01:10.5"},
        {"begin": 65, "from": 65, "end": 70.5},
        {"start": 65, "finish": 70.5, "duration": 99},
        {"start": 65, "end": 70.5, "time": "12:30"},
    ],
)
def test_a_segment_is_of_the_only_medium_that_it_can_be_of(root, columns):
    assert segment(root, {"audio": "a.wav"}, columns) == [("a.wav", 65.0, 70.5)]
    apart = {name: value for name, value in columns.items() if not name.startswith("audio")}
    if apart:
        assert segment(root, {"audio": "a.wav", "video": "v.webm"}, apart) == []


def test_a_segment_names_its_medium_or_is_in_its_object(root):
    both = {"audio": "a.wav", "video": "v.webm"}
    only = {"audio": {"path": "a.wav", "start": 1, "end": 2}, "image": "i.png"}
    assert {*segment(root, both, {"video_start": 1, "video_end": 2})} == {
        ("a.wav", None, None),
        ("v.webm", 1.0, 2.0),
    }
    assert {*segment(root, only)} == {("a.wav", 1.0, 2.0), ("i.png", None, None)}


@pytest.mark.parametrize(
    "columns",
    [
        {"start": 3, "start_time": 4},
        {"start": -1, "end": 2},
        {"timestamp": 12.5},
        {"segment": [1, 2, 3]},
        {"segments": [[1, 2], [4, 5]]},
        {"end": 2, "start": 2},
        {"start_frame": 3},
        {"offset": 3},
        {"start": 1, "duration": 2},
        {"start_time": 1, "audio_length": "2.5"},
        {"audio": {"path": "a.wav", "start": 1, "duration": 2}},
        {"time": "1-3"},
        {"moment": [1, 3.5]},
        {"temporal_grounding": "[1, 3]"},
        {"cut": "0:01-0:03"},
        {"seek": 3},
    ],
)
def test_a_segment_that_is_not_plain_sets_the_row_aside(root, columns):
    assert segment(root, {"audio": "a.wav"}, columns) == []


@pytest.mark.parametrize(
    "names",
    [
        *("option_a option_b", "option1 option2", "opt_A opt_B", "choice_A choice_B"),
        *("choice1 choice2", "option_0 option_1", "A B", "a b", "A. B.", "optionA optionB"),
        *("answer_option_1 answer_option_2", "candidate-1 candidate-2", "Option_A Option_B"),
        *(
            "a0 a1",
            "(A) (B)",
            "op1 op2",
            "opa opb",
            "ending0 ending1",
            "alternative_1 alternative_2",
        ),
    ],
)
@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv"])
def test_options_stand_in_columns_under_many_names(root, names, ending):
    first, second = names.split()
    rows = [
        {"question": "Which?", first: "cat", second: "dog", "answer": answer}
        for answer in ("B", "A")
    ]
    assert [(one.options, one.answer) for one in read(root, *rows, ending=ending)] == [
        (("cat", "dog"), "B"),
        (("cat", "dog"), "A"),
    ]


@pytest.mark.parametrize(
    "columns",
    [
        {"A": "cat", "C": "dog"},
        {"A": "cat", "B": "", "C": "dog"},
        {"option_1": "cat", "option_3": "dog"},
        {"choices": ["cat", "dog"], "A": "cat", "B": "dog"},
        {"A": "cat"},
        {"choices": ["cat", "", "dog"]},
        {"choices": {"A": "cat", "C": "dog"}},
    ],
)
def test_options_with_a_hole_or_told_twice_set_the_row_aside(root, columns):
    assert read(root, {"question": "Which?", "answer": "A"} | columns) == []


def test_options_and_chats_in_cells_are_read_as_in_json(root):
    row = {"question": "Which?", "options": '{"A": "cat", "B": "dog"}', "answer": "B"}
    [sample] = read(root, row, ending=".tsv")
    assert (sample.options, sample.answer) == (("cat", "dog"), "B")
    [sample] = read(root, {"messages": json.dumps(CHAT["messages"]), "x": "y"}, ending=".csv")
    assert (sample.question, sample.answer) == ("Who?", "Ann")
    turns = [CHAT["messages"][0] | {"audio": "a.wav"}, CHAT["messages"][1]]
    assert read(root, {"messages": json.dumps(turns), "x": "y"}, ending=".csv") == []


@pytest.mark.parametrize(
    ("question", "answer", "read_as"),
    [
        ("Who spoke? A. Ann B. Rashid C. Cy", "B", ("Ann", "Rashid", "Cy")),
        ("Who spoke? A. Ann B. Rashid C. Cy", "C. Cy", ("Ann", "Rashid", "Cy")),
        ("Who spoke?\nA. Ann\nB. Rashid", "rashid", ("Ann", "Rashid")),
        ("Who spoke? A: hi. B: ho.", "B", None),
        ("Who spoke? A. Ann B. Rashid", "C", None),
        ("Which note is it?", "B", ()),
    ],
)
def test_a_lone_letter_is_no_text_where_a_question_lists_options(root, question, answer, read_as):
    found = [one.options for one in read(root, {"question": question, "answer": answer})]
    assert found == ([] if read_as is None else [read_as])


NAMELESS = (
    *({"item_a": "cat", "item_b": "dog"}, {"sol1": "cat", "sol2": "dog"}),
    *({"mcq": ["cat", "dog"]}, {"pool": "['cat', 'dog']"}),
)


@pytest.mark.parametrize("columns", NAMELESS)
@pytest.mark.parametrize("answer", ["B", "(b)", "Dog"])
def test_texts_that_hold_the_answer_are_no_facts_beside_an_open_question(root, columns, answer):
    assert read(root, {"question": "Which?", "answer": answer} | columns) == []


@pytest.mark.parametrize("columns", NAMELESS)
def test_texts_that_do_not_hold_the_answer_leave_a_question_open(root, columns):
    assert len(read(root, {"question": "Which?", "answer": "a bird"} | columns)) == 1
    numbers = {"x1": "10", "x2": "20", "tags": ["cat", "dog"]}
    assert len(read(root, {"question": "How many?", "answer": "2"} | numbers)) == 1


def test_a_number_names_one_of_some_numbered_texts(root):
    rows = {"question": "Which?", "answer": "2", "sol1": "cat", "sol2": "dog"}
    assert read(root, rows) == []


def test_prose_that_nobody_is_shown_is_told_and_a_text_to_be_read_sets_the_row_aside(root, caplog):
    words = "He says that he will come back later, and leaves."
    [one] = read(root, ASKED | {"audio": "a.wav", "transcript": words, "place": "a kitchen"})
    assert one.facts == {"place": "a kitchen"}
    assert "transcript (1 rows, such as 'He says" in caplog.text
    for name in ("transcript", "table", "system", "anything"):
        assert read(root, ASKED | {name: words}) == []
    assert len(read(root, ASKED | {"explanation": words})) == 1
    for name in ("context", "Passage", "hint", "story_text", "dialogue", "instruction"):
        assert read(root, ASKED | {name: words}) == []
        assert len(read(root, ASKED | {name: "in a kitchen"})) == 1
