"""Verifiers of the user's own: the answer is found as ever, and judged by their function."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from configs.plugins import VERIFIER, pinned
from datamodules.sample import Sample
from modules.verifiers.golds import wrong_golds
from modules.verifiers.verify import Verdict, verify
from runtime.plugins import PluginError
from tests.conftest import make_sample

NEAR = """
def near(question, answer, facts):
    if not answer.isdigit():
        return None
    return max(0, 1 - abs(int(answer) - int(question.answer)) / int(facts["scale"]))
"""
ASK = make_sample("q7", options=(), answer="40", answer_type="text", facts={"scale": "10"})
Judge = Callable[[str], Verdict]


@pytest.fixture
def asked(tmp_path) -> Sample:
    (tmp_path / "my.py").write_text(NEAR)
    name = pinned("data.verifiers", f"{tmp_path}/my.py:near", VERIFIER)
    return replace(ASK, verifier=name)


@pytest.mark.parametrize(
    ("completion", "parsed", "correct", "score"),
    [
        ("I hear it. <answer>40</answer>", True, True, 1.0),
        (r"\boxed{37}", True, False, 0.7),
        ("<answer> $90$ </answer>", True, False, 0.0),
        ("<answer>forty</answer>", False, False, 0.0),
        ("40", False, False, 0.0),
        ("", False, False, 0.0),
    ],
)
def test_an_answer_in_tags_or_a_box_is_judged(asked, completion, parsed, correct, score):
    found = verify(completion, sample=asked)
    assert (found.parsed, found.correct) == (parsed, correct)
    assert found.score == pytest.approx(score)


def test_without_a_verifier_the_same_question_is_judged_by_its_words(asked):
    assert verify("<answer>37</answer>", sample=asked).rule == "own"
    assert verify("<answer>37</answer>", sample=ASK).rule == "text"


def test_a_gold_answer_that_the_function_finds_wrong_is_told(asked):
    def judged(sample: Sample) -> list[str]:
        return wrong_golds([sample], "letter", imitated=lambda one: one.completion)

    assert judged(asked) == [""]
    [why] = judged(replace(asked, answer="forty"))
    assert "forty</answer>' is the answer of 'q7' and is not read as" in why
    [why] = judged(replace(asked, facts={}))
    assert "cannot be judged" in why and "raised KeyError: 'scale'" in why


def test_a_score_out_of_bounds_is_refused(asked, tmp_path):
    (tmp_path / "my.py").write_text("def near(question, answer, facts):\n    return 2\n")
    name = pinned("data.verifiers", f"{tmp_path}/my.py:near", VERIFIER)
    with pytest.raises(PluginError, match="returned 2 for the answer '40' to question 'q7', but"):
        verify("<answer>40</answer>", sample=replace(asked, verifier=name))
