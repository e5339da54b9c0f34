"""Macro F1 by hand, and which sets have one."""

import json
import re
from dataclasses import replace

import pytest

from configs.load import load_config
from datamodules.prompts.orders import arrange_options
from evaluation.benchmarking.answers import Answer
from evaluation.benchmarking.fixed_options import fixed_options, macro_f1
from evaluation.benchmarking.scoring import GradedAnswer
from evaluation.benchmarking.stage import benchmark
from modules.verifiers.verify import NOTHING, verify
from tests.conftest import make_sample

MOODS = ("calm", "angry", "sad")


def question(answer, options=MOODS, **changed):
    return make_sample(options=options, answer=answer, answer_type="choice", **changed)


def graded(sample, completion):
    verdict = NOTHING if completion is None else verify(completion, sample=sample)
    answer = Answer(prompt="?", completion=completion)
    return GradedAnswer(
        sample=sample,
        setting="full",
        order=0,
        places=(),
        answer=answer,
        verdict=verdict,
        official=None,
    )


def score(*pairs):
    return macro_f1([[graded(*pair)] for pair in pairs])


def test_macro_f1_by_hand():
    """Calm: 2 right, named 3 times, asked 3 times; angry: 1, 2, 2; sad: never right, asked once.

    (2 * 2 / 6 + 2 * 1 / 4 + 0) / 3 = (2/3 + 1/2) / 3 = 7/18; 3 of 6 are right.
    """
    calm, angry, sad = (question(letter) for letter in "ABC")
    found = score(
        *((calm, "A"), (calm, "<answer>A</answer>"), (calm, "I cannot tell.")),
        *((angry, "B"), (angry, "A"), (sad, "<answer>angry</answer>")),
    )
    assert (found.options, found.n) == (3, 6)
    assert found.value == pytest.approx(7 / 18)


def test_an_answer_that_could_not_be_asked_for_names_no_option():
    """Calm: 1 right, named once, asked twice: 2 / 3; nothing else is asked for."""
    found = score((question("A"), "A"), (question("A"), None))
    assert (found.options, found.n) == (1, 2)
    assert found.value == pytest.approx(2 / 3)


def test_options_are_told_by_their_text_wherever_they_stand():
    """As written and turned, and asked by text: all right."""
    turned = question("B", options=("sad", "angry", "calm"))
    by_text = replace(arrange_options(question("C"), option_seed=1, answer_with="text"))
    found = score((question("A"), "A"), (turned, "B"), (by_text, "<answer>sad</answer>"))
    assert (found.value, found.options, found.n) == (1.0, 3, 3)


def test_all_orders_of_a_question_count():
    """Right in one of two: calm is named once and asked twice, angry named in vain."""
    sample = question("A")
    found = macro_f1([[graded(sample, "A"), graded(sample, "B")]])
    assert (found.value, found.options, found.n) == (pytest.approx(2 / 3), 1, 1)


def test_yes_and_no_are_options_too():
    """Yes: 1 right, named 2, asked 1: 2/3; no: 1 right, named 1, asked 2: 2/3."""
    yes, no = (make_sample(options=(), answer=a, answer_type="yes_no") for a in ("yes", "no"))
    found = score((yes, "Yes."), (no, "no"), (no, "yes"))
    assert (found.value, found.options) == (pytest.approx(2 / 3), 2)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [question("A"), question("A", options=("calm", "angry"))],
        [question("A"), question("A", options=("calm", "angry", "glad"))],
        [question("A", options=("calm", "calm", "sad"))],
        [question("A"), make_sample(options=(), answer="yes", answer_type="yes_no")],
        [make_sample(options=(), answer="3", answer_type="number")],
    ],
    ids=["nothing", "fewer", "others", "twice", "mixed", "open"],
)
def test_sets_of_other_options_have_none(samples):
    assert fixed_options(samples) is None
    assert score(*((sample, "A") for sample in samples)) is None


def test_a_set_of_fixed_options_shows_its_macro_f1(root, tmp_path):
    """The same by hand, from the rows of answers."""
    lines = (root / "test.jsonl").read_text().splitlines()
    rows = [row for line in lines if not (row := json.loads(line)).get("media")][:9]
    for number, row in enumerate(rows):
        row |= {"options": ["four", "seven"], "answer": "AB"[number % 3 == 0]}
        row["answer_type"] = "choice"
    (tmp_path / "test.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    words = ["stage=benchmark", "data=manifest", f"data.root={tmp_path}", "run.name=a"]
    words += [f"run.root={tmp_path}", "benchmark.conditions=[full]"]
    told = benchmark(load_config(words, ("benchmark",)))
    answers = [json.loads(row) for row in (tmp_path / "a/tiny.jsonl").read_text().splitlines()]
    names = [None if one["rule"] == "none" else one["extracted"] for one in answers]
    named = [
        one["gold"] if one["correct"] else name for one, name in zip(answers, names, strict=True)
    ]
    f1 = [
        2
        * sum(one["correct"] for one in answers if one["gold"] == letter)
        / (named.count(letter) + [one["gold"] for one in answers].count(letter))
        for letter in "AB"
    ]
    (line,) = json.loads((tmp_path / "a/results.json").read_text())["lines"]
    assert line["macro_f1"] == {"value": pytest.approx(sum(f1) / 2), "options": 2, "n": 9}
    assert re.search(rf"macro F1 +9 .* {100 * sum(f1) / 2:.1f}\n", told)
