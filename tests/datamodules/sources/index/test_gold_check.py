"""Golds are judged before anybody is asked: one that is not right takes its question aside."""

import json
from dataclasses import replace

import pytest

from datamodules.digits.build import ensure
from datamodules.prompts.templates import target_text
from datamodules.sample import Sample
from datamodules.sources.index.gold_check import GoldCheck, with_right_golds
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.index.table import SampleTable
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from modules.verifiers.golds import wrong_golds
from tests.conftest import make_sample
from tests.small_digits import SMALL


def sample(answer: str, answer_type: str, options: tuple[str, ...] = (), **more) -> Sample:
    fields = {"options": options, "answer": answer, "answer_type": answer_type}
    return make_sample(answer, "What?", **fields, **more)


NOTES = ("C", "A", "B", "D")


@pytest.mark.parametrize("answer_with", ["letter", "text"])
@pytest.mark.parametrize(
    "good",
    [
        *(sample(letter, "choice", NOTES) for letter in "ABCD"),
        *(sample(letter, "choice", ("-x", "x", "[0, 1)", "(0, 1]")) for letter in "ABCD"),
        sample("B", "choice", ("pH", "PH")),
        sample("1234.5", "number"),
        sample("50%", "number"),
        sample("no", "yes_no"),
        sample("3!", "text"),
        sample("two words", "text", completion="two words"),
        sample("rain, wind", "set"),
        sample("2 \\sqrt { 221 }", "math"),
        sample("EXIT 9", "ocr"),
    ],
    ids=lambda one: f"{one.answer_type}-{one.answer}",
)
def test_who_gives_the_right_answer_is_right(good, answer_with):
    assert wrong_golds([good], answer_with, target_text) == [""]


BAD = [
    sample("E", "choice", NOTES),
    sample("several", "number"),
    sample("maybe", "yes_no"),
    sample("", "math"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda one: one.answer_type)
def test_a_gold_that_is_no_answer_of_its_type_is_named_among_good_ones(bad):
    """Of three, the one in the middle, and neither of its neighbors."""
    good = sample("A", "choice", NOTES)
    first, second, third = wrong_golds([good, bad, good], "letter", target_text)
    assert (first, third) == ("", "")
    assert repr(bad.id) in second or bad.id in second


def manifest(root, rows=40):
    lines = [
        {"id": f"q{n}", "question": "Which?", "options": ["x", "y"], "answer": "x"}
        for n in range(rows)
    ]
    path = root / "train.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.mark.parametrize("above", [10**9, 0], ids=["in memory", "through an index"])
def test_questions_are_set_aside_with_their_reason(tmp_path, above):
    path, quarantine = manifest(tmp_path), Quarantine(max_bad_share=1)
    samples = open_samples(path, tmp_path, quarantine, above=above)
    assert isinstance(samples, SampleTable) == (above == 0)
    check = GoldCheck(key="k", judge=lambda some: [f"no {s.id}" * (s.id == "q7") for s in some])
    kept = with_right_golds(samples, check, quarantine, path)
    assert [one.id for one in kept] == [f"q{n}" for n in range(40) if n != 7]
    assert quarantine.counts == {"gold_not_right": 1}


def test_what_an_index_holds_is_judged_once(tmp_path):
    """And again under another key: how a model is shown options decides how it is judged."""
    path, judged = manifest(tmp_path), []

    def judge(some):
        judged.extend(one.id for one in some)
        return ["wrong" * (one.id == "q3") for one in some]

    for key in ("letter", "letter", "text"):
        samples = open_samples(path, tmp_path, Quarantine(max_bad_share=1), above=0)
        part = samples[2:] if key == "letter" else samples
        kept = with_right_golds(
            part, GoldCheck(key=key, judge=judge), Quarantine(max_bad_share=1), path
        )
        assert "q3" not in [one.id for one in kept]
        assert len(kept) == len(part) - 1
    assert len(judged) == 2 * 40


def test_a_free_text_is_judged_as_it_is_asked_for():
    """Without tags where the words themselves are imitated, and in tags where they are not."""
    free = sample("see <answer>", "text", completion="see <answer>")
    assert wrong_golds([free, replace(free, completion="")], "letter", target_text) == ["", ""]


@pytest.mark.parametrize("answer_with", ["letter", "text"])
def test_the_embedded_data_are_right_by_construction(tmp_path_factory, answer_with):
    """So that they need not be judged whenever they are read."""
    root = tmp_path_factory.getbasetemp() / "golds-digits"
    ensure(root, sizes=SMALL)
    for split in ("train", "val", "test", "warm"):
        samples = read_manifest(root / f"{split}.jsonl", root, Quarantine(max_bad_share=0))
        assert len(samples) > 10
        assert not any(wrong_golds(samples, answer_with, target_text))


@pytest.mark.parametrize("answer_with", ["letter", "text"])
@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (sample("A", "choice", NOTES), "<answer>B</answer>"),
        (sample("A", "choice", NOTES), "It is high. \\boxed{D}"),
        (sample("5", "number"), "3"),
        (sample("5", "number"), "I hear <answer>3</answer>"),
        (sample("Paris", "text"), "<answer>Rome</answer>"),
        (sample("yes", "yes_no"), "No."),
    ],
)
def test_a_completion_that_answers_otherwise_sets_its_question_aside(asked, wrong, answer_with):
    """What is imitated must not be wrong; what says no answer of its own is no contradiction."""
    right = f"So it is. <answer>{replace(asked, answer_with=answer_with).named_answer}</answer>"
    for fine in ("", right, "I hear it well, and say nothing of it, however long I think of it."):
        assert wrong_golds([replace(asked, completion=fine)], answer_with, target_text) == [""]
    [why] = wrong_golds([replace(asked, completion=wrong)], answer_with, target_text)
    assert "one of them would be learned" in why
