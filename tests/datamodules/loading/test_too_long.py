"""Completions that are too long are found when questions are read; each length is counted here."""

import json
import logging
from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from configs.load import load_config
from datamodules.loading.streams import QuestionPool
from datamodules.loading.too_long import (
    AROUND,
    LengthLimit,
    drop_places,
    enforce_limit,
    find_too_long,
)
from datamodules.sample import Sample
from tests.conftest import make_sample
from tests.datamodules.loading.conftest import six_questions
from tests.datamodules.test_questions import module
from training.stages import longest_given

SETTING = "sft.max_completion_tokens"


class Words:
    """A tokenizer that makes a token of every word, and one of the end."""

    answer_with = "letter"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def target(self, sample: Sample, want: str) -> list[int]:
        self.asked.append(sample.id)
        text = sample.evidence if want == "describe" else sample.completion
        return [0] * (len((text or "").split()) + 1)


def said(name: str, words: int) -> Sample:
    return replace(make_sample(name), completion=" ".join(["abcdefgh"] * words))


SAMPLES = [said("a", 3), said("b", 29), said("c", 1), said("d", 30), said("e", 41)]


def test_tokens_are_counted_with_the_end_of_the_turn():
    """29 words are 30 tokens, which fit; 30 are 31, and 41 are 42, which do not."""
    words = Words()
    assert find_too_long(SAMPLES, range(5), words, "answer", 30) == {3: 31, 4: 42}
    assert find_too_long(SAMPLES, [1, 4], words, "answer", 30) == {4: 42}


def test_what_is_short_in_bytes_is_not_tokenized():
    """A word of eight letters and what may stand around it is 28 bytes, three words are 46."""
    words = Words()
    find_too_long(SAMPLES, range(5), words, "answer", 30)
    assert words.asked == ["a", "b", "d", "e"] and 8 + AROUND == 28
    assert find_too_long(SAMPLES, range(5), words, "answer", 380) == {}
    assert words.asked == ["a", "b", "d", "e", "e"]  # 41 words and 40 spaces are 368 bytes


def test_what_is_asked_for_is_what_is_counted():
    described = replace(SAMPLES[2], evidence="one two three " * 10)
    assert find_too_long([described], [0], Words(), "describe", 30) == {0: 31}
    assert find_too_long([described], [0], Words(), "answer", 30) == {}


def test_a_refusal_says_how_many_and_how_long():
    with pytest.raises(ValueError) as caught:
        enforce_limit({3: 31, 4: 42}, SAMPLES, 5, LengthLimit(tokens=30, setting=SETTING))
    assert str(caught.value) == (
        "2 of 5 completions are longer than sft.max_completion_tokens=30 tokens (the first: d with "
        "31; the longest: 42), and a completion is never cut, as a model would learn to stop "
        "there: set sft.max_completion_tokens=42, or leave them out with sft.too_long=skip."
    )


def test_what_is_left_out_is_counted(caplog):
    rule = LengthLimit(tokens=30, setting=SETTING, beyond="skip")
    with caplog.at_level(logging.WARNING):
        enforce_limit({3: 31, 4: 42}, SAMPLES, 5, rule)
        enforce_limit({}, SAMPLES, 5, rule)
    (record,) = caplog.records
    assert "2 of 5 completions are longer" in record.getMessage()
    with pytest.raises(ValueError, match=r"2 of 2 .*set sft\.max_completion_tokens=42\.$"):
        enforce_limit({3: 31, 4: 42}, SAMPLES, 2, rule)


def test_a_pool_keeps_the_weights_of_what_stays():
    pool = QuestionPool(places=np.array([4, 1, 3, 0]), weights=np.array([0.4, 0.1, 0.3, 0.2]))
    left = drop_places(pool, {3: 31, 4: 42})
    assert left.places.tolist() == [1, 0]
    assert left.weights is not None and left.weights.tolist() == [0.1, 0.2]
    assert drop_places(QuestionPool(places=np.array([4, 2])), {4: 42}).weights is None


@pytest.mark.parametrize(
    ("words", "tokens", "setting", "beyond"),
    [
        (["stage=sft", "sft.max_completion_tokens=7"], 7, SETTING, "refuse"),
        (["stage=sft", "sft.too_long=skip"], 64, SETTING, "skip"),
        (
            [
                "stage=distill",
                "distill.rejection_sampling.max_completion_tokens=9",
                "sft.too_long=skip",
            ],
            18,
            "distill.rejection_sampling.max_completion_tokens",
            "skip",
        ),
        (
            [
                *("stage=distill", "distill.method=on_policy", "distill.teacher=x"),
                *("distill.on_policy_share=0.5", "distill.max_completion_tokens=11"),
                "sft.too_long=skip",
            ],
            11,
            "distill.max_completion_tokens",
            "skip",
        ),
    ],
)
def test_each_stage_that_imitates_says_how_long(words, tokens, setting, beyond):
    found = longest_given(load_config(words, ("sft", "distill")))
    assert found == LengthLimit(tokens=tokens, setting=setting, beyond=beyond)


def test_who_imitates_nothing_has_no_use_for_the_choice():
    words = ["stage=distill", "distill.method=on_policy", "distill.teacher=x", "sft.too_long=skip"]
    with pytest.raises(ValueError, match=r"sft\.too_long has no effect"):
        load_config(words, ("distill",))


def test_a_run_reads_what_fits_and_nothing_else(encoder, tmp_path):
    """q1 and q4 have completions of some forty tokens; the four others say a word or two."""
    data = six_questions(tmp_path)
    file = tmp_path / "train.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        long = row["id"] in ("q1", "q4")
        row["completion"] = ("which digit " * 20 if long else "") + "<answer>8</answer>"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rule = LengthLimit(tokens=24, setting=SETTING)
    with pytest.raises(ValueError, match=r"2 of 6 completions are .*\(the first: q1 with \d\d;"):
        module(data, encoder, tmp_path, with_targets=True, longest=rule)
    skipping = replace(rule, beyond="skip")
    made = module(data, encoder, tmp_path, with_targets=True, longest=skipping)
    read = [one for [batch] in islice(made.train_dataloader(), 4) for one in batch.samples]
    assert Counter(sample.id for sample in read) == {"q0": 2, "q2": 2, "q3": 2, "q5": 2}


def test_a_run_reads_what_fits_of_its_traces(encoder, tmp_path):
    """Of two questions, one has a short trace and a long one, the other a long one alone."""
    data = six_questions(tmp_path)
    hashes = {one.id: one.content_hash for one in module(data, encoder, tmp_path)._read.samples}
    said = [("q0", 0, 1), ("q0", 1, 30), ("q3", 0, 30)]
    rows = [
        {
            "id": name,
            "content_hash": hashes[name],
            "number": number,
            "completion": "which digit " * words + "<answer>8</answer>",
            "kept": True,
        }
        for name, number, words in said
    ]
    traces = tmp_path / "traces.jsonl"
    traces.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rule = LengthLimit(tokens=24, setting=SETTING, beyond="skip")
    made = module(data, encoder, tmp_path, with_targets=True, longest=rule, traces=traces)
    read = [one for [batch] in islice(made.train_dataloader(), 2) for one in batch.samples]
    assert {sample.id for sample in read} == {"q0#0"}
