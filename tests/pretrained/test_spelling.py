"""Tokenizers of strangers: no text grows without end, and what they give up over is told."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from datamodules.media.files import MediaError
from datamodules.prompts.encoder import PromptEncoder
from modules.policy.vocabulary import Vocabulary
from pretrained.spelling import MOST_GROWTH, Unspelled, check_tokenizer, open_tokenizer
from recipes.lengths import _counter
from runtime.failures import explain

TINY = Path("assets/tiny")


def change(place: Path, **parts: Any) -> None:
    file = place / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | parts))


def put(content: str, pattern: str = "String") -> dict[str, object]:
    return {"type": "Replace", "pattern": {pattern: "a"}, "content": content}


BOMBS = {
    "a long text before each": {"normalizer": {"type": "Prepend", "prepend": "a" * 100_000}},
    "steps that multiply": {
        "normalizer": {"type": "Sequence", "normalizers": [put("aa", "Regex")] * 40}
    },
    "steps within steps": {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "Sequence", "normalizers": [put("aaaaaaaaaa")]}] * 6,
        }
    },
    "on the way back": {"decoder": {"type": "Sequence", "decoders": [put("aa", "Regex")] * 40}},
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_text_that_would_grow_beyond_measure_is_refused_before_it_does(model, name):
    change(model, **BOMBS[name])
    for opened in (PromptEncoder, lambda path: open_tokenizer(Path(path))):
        with pytest.raises(ValueError, match=r"tokenizer\.json cannot be used .* times as long"):
            opened(str(model))


def test_a_step_that_is_named_twice_hides_nothing(model):
    file = model / "tokenizer.json"
    bomb = json.dumps(put("a" * 1_000))
    text = file.read_text().replace('"normalizer":', f'"normalizer": {bomb}, "normalizer":', 1)
    file.write_text(text)
    with pytest.raises(ValueError, match="cannot be used"):
        check_tokenizer(model)
    text = text.replace(f'{bomb}, "normalizer"', f'{bomb[:-1]}, "content": ""}}, "other"')
    file.write_text(text)
    with pytest.raises(ValueError, match="'content' twice"):
        check_tokenizer(model)


@pytest.mark.parametrize(
    "steps", [[put("▁")] * 9, [{"type": "NFC"}], [{"type": "Prepend", "prepend": "▁"}], [put("")]]
)
def test_what_published_tokenizers_do_is_let_be(model, steps):
    change(model, normalizer={"type": "Sequence", "normalizers": steps})
    check_tokenizer(model)
    change(model, normalizer=put("a" * MOST_GROWTH))
    check_tokenizer(model)


def test_words_of_a_vocabulary_may_be_written_alike(model):
    words = json.loads((model / "tokenizer.json").read_text())["model"]
    change(model, model=words | {"vocab": words["vocab"] | {"\uff41\uff42": 7, "ab": 8}})
    check_tokenizer(model)


@pytest.mark.parametrize(("dropout", "random"), [(0.3, True), (1, True), (0.0, False)])
def test_a_tokenizer_that_draws_is_refused(model, dropout, random):
    """Else the same question would be another prompt each time, and no run could be continued."""
    words = json.loads((model / "tokenizer.json").read_text())["model"]
    change(model, model=words | {"dropout": dropout})
    for opened in (PromptEncoder, lambda path: open_tokenizer(Path(path))):
        with pytest.raises(ValueError) if random else nullcontext() as caught:
            opened(str(model))
        told = str(caught.value) if caught else ""
        assert (f"tokenizer.json cannot be used (its model.dropout is {dropout}" in told) == random


def test_a_model_of_a_tokenizer_that_names_its_dropout_twice_is_refused(model):
    file = model / "tokenizer.json"
    file.write_text(file.read_text().replace('"dropout":', '"dropout": null, "dropout":', 1))
    with pytest.raises(ValueError, match="its model is no object that names each field once"):
        check_tokenizer(model)


SLOW = {"type": "Split", "pattern": {"Regex": "(x+x+)+y"}, "behavior": "Isolated", "invert": False}


def slow(model: Path) -> None:
    """Give up over some texts: a library in Rust then panics, which is no Exception of Python."""
    own = json.loads((model / "tokenizer.json").read_text())["pre_tokenizer"]
    change(model, pre_tokenizer={"type": "Sequence", "pretokenizers": [SLOW, own]})


def test_a_text_that_a_tokenizer_gives_up_over_is_one_bad_row(model):
    slow(model)
    encoder = PromptEncoder(str(model))
    assert encoder._ids("good", "q1")
    with pytest.raises(MediaError, match="q1 cannot be written in tokens") as caught:
        encoder._ids("x" * 60, "q1")
    assert caught.value.kind == "malformed"
    with pytest.raises(Unspelled, match="cannot be written in tokens"):
        _counter(model, "letter", "")._count("x" * 60)


def test_a_tokenizer_that_gives_up_over_every_text_is_told_by_its_place(model):
    words = json.loads((model / "tokenizer.json").read_text())["model"]
    change(model, model=words | {"unk_token": "nobody"}, pre_tokenizer=None)
    with pytest.raises(ValueError, match=str(model)):
        encoder = PromptEncoder(str(model))
        encoder.say("\u00e9")


def test_a_tokenizer_that_gives_up_while_it_is_opened_is_told_by_its_place(model):
    change(model, normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"})
    for opened in (PromptEncoder, lambda path: open_tokenizer(Path(path))):
        with pytest.raises(ValueError, match=str(model)):
            opened(str(model))


def test_what_gives_up_elsewhere_is_a_sentence(model):
    erasing = {"type": "Replace", "pattern": {"Regex": "(x+x+)+y"}, "content": ""}
    change(model, decoder={"type": "Sequence", "decoders": [{"type": "Fuse"}, erasing]})
    words = Vocabulary(PromptEncoder(str(model)).tokenizer)
    [letter] = words.tokenizer.convert_tokens_to_ids(["x"])
    with pytest.raises(BaseException) as caught:
        words.text([letter] * 60)
    assert "gave up" in (explain(caught.value) or "")


def test_a_plan_counts_texts_whole(model):
    whole = len(open_tokenizer(model).encode("a few words of a text").ids)
    change(
        model,
        truncation={"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        padding={
            **{"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None},
            **{"pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"},
        },
    )
    assert len(open_tokenizer(model).encode("a few words of a text").ids) == whole
