"""A question whose text has a place for a medium is asked with it, or not at all."""

import json
from pathlib import Path

import pytest

from datamodules.sample import Sample
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine


def read(root: Path, *rows: dict[str, object]) -> list[Sample]:
    for name in ("a.wav", "i.png", "v.mp4"):
        (root / name).write_bytes(name.encode())
    (root / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return read_manifest(root / "train.jsonl", root, Quarantine(max_bad_share=1))


def table(text: str) -> dict[str, object]:
    return {"question": text, "answer": "a goose"}


def chat(text: str) -> dict[str, object]:
    said = [{"role": "user", "content": text}, {"role": "assistant", "content": "a goose"}]
    return {"messages": said}


def alpaca(text: str) -> dict[str, object]:
    return {"instruction": text, "input": "", "output": "a goose"}


@pytest.mark.parametrize("form", [table, chat, alpaca])
@pytest.mark.parametrize(
    "text",
    [
        *("<audio>What is it?", "What is in <image>?", "<image_1>\nWhat is it?"),
        *("<|vision_start|><|image_pad|><|vision_end|>What is it?", "<|audio_1|>What is it?"),
        *("<speech>What is it?", "<sound>\nWhat is it?", "<ImageHere>What is it?"),
        *("Audio 1: <audio>a.wav</audio>\nWhat is it?", "<img>pictures/i.png</img>What is it?"),
    ],
)
def test_a_text_that_speaks_of_a_medium_is_not_asked_without_it(tmp_path, form, text):
    assert read(tmp_path, form(text)) == []


@pytest.mark.parametrize("form", [table, chat, alpaca])
def test_a_place_whose_medium_is_shown_is_no_part_of_the_text(tmp_path, form):
    [one] = read(tmp_path, form("<image>\nWhat is it?") | {"image": "i.png"})
    assert (one.question, [item.path for item in one.media]) == ("What is it?", ["i.png"])


@pytest.mark.parametrize("form", [table, chat])
def test_more_places_than_media_set_a_row_aside(tmp_path, form):
    assert read(tmp_path, form("<image> or <image>?") | {"image": "i.png"}) == []
    assert read(tmp_path, form("<img>j.png</img>Same?") | {"image": "i.png"}) == []


@pytest.mark.parametrize("form", [table, chat, alpaca])
@pytest.mark.parametrize("text", ["Is 3 <x> 4?", "What is <b>bold</b>?", "Who is <name>?"])
def test_other_marks_are_text(tmp_path, form, text):
    [one] = read(tmp_path, form(text))
    assert one.question == text
