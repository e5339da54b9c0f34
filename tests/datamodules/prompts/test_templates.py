from dataclasses import replace
from hashlib import sha256
from typing import get_args

import pytest

from configs.inputs import Task
from datamodules.prompts.templates import (
    DESCRIBE,
    INSTRUCTIONS,
    SUFFIXES,
    question_text,
    template_fingerprint,
    user_turn,
)
from datamodules.sample import AnswerType, Media, Sample
from tests.conftest import make_sample


def make(**fields: object) -> Sample:
    return make_sample(question="Which barks?", **{"options": ("a cat", "a dog")} | fields)


def media(*roles: str) -> tuple[Media, ...]:
    return tuple(Media(modality="audio", path="a.wav", role=role) for role in roles)


LETTER, OPTION = INSTRUCTIONS["letter"], INSTRUCTIONS["choice"]


def test_options_stand_behind_letters_and_the_instruction_is_last():
    pieces = user_turn(make(media=media("context")))
    assert pieces == [0, f"Which barks?\nA. a cat\nB. a dog\n{LETTER}"]


def test_options_stand_bare_where_they_are_answered_by_their_text():
    assert user_turn(make(answer_with="text")) == [f"Which barks?\na cat\na dog\n{OPTION}"]


def test_media_that_are_options_follow_theirs_and_others_come_first():
    """In the row: option, context, option."""
    pieces = user_turn(make(media=media("option", "context", "option")))
    assert pieces == [1, "Which barks?\nA. a cat", 0, "\nB. a dog", 2, f"\n{LETTER}"]


def test_without_the_question_options_and_instruction_stay():
    bare = user_turn(make(media=media("context")), show_question=False)
    assert bare == [0, f"A. a cat\nB. a dog\n{LETTER}"]
    split = user_turn(
        make(media=media("option", "option"), answer_with="text"), show_question=False
    )
    assert split == ["a cat", 0, "\na dog", 1, f"\n{OPTION}"]
    open_one = make(options=(), answer="3", answer_type="number")
    assert user_turn(open_one, show_question=False) == [INSTRUCTIONS["number"]]


def test_a_suffix_stands_below_the_options():
    pieces = user_turn(make(), suffix="Guess.")
    assert pieces == [f"Which barks?\nA. a cat\nB. a dog\nGuess.\n{LETTER}"]
    bare = user_turn(make(options=()), show_question=False, suffix="Guess.")
    assert bare == [f"Guess.\n{LETTER}"]


def test_free_completions_have_no_instruction():
    free = make(options=(), answer="It barks.", answer_type="text", completion="It barks.")
    assert user_turn(free) == ["Which barks?"]
    assert user_turn(free, show_question=False) == []


def test_a_completion_that_leads_to_the_answer_is_asked_for_in_tags():
    led = make(options=(), answer="a dog", answer_type="text", completion="It barks: a dog.")
    assert user_turn(led) == [f"Which barks?\n{INSTRUCTIONS['text']}"]


def test_evidence_is_asked_for_in_place_of_the_answer():
    pieces = user_turn(make(media=media("context")), task="describe")
    assert pieces == [0, f"Which barks?\nA. a cat\nB. a dog\n{DESCRIBE}"]
    free = make(options=(), answer="It barks.", answer_type="text", completion="It barks.")
    assert user_turn(replace(free, answer_with="text"), task="describe") == [
        f"Which barks?\n{DESCRIBE}"
    ]


def test_what_is_told_stands_last_and_media_nowhere():
    told = make(media=media("context", "option", "option"), evidence="The second barks.")
    pieces = user_turn(told, task="answer_from_description")
    lines = ["Which barks?", "A. a cat", "B. a dog", LETTER, "Evidence: The second barks."]
    assert pieces == ["\n".join(lines)]


def test_who_is_told_is_asked_for_the_answer_whatever_is_imitated():
    free = make(options=(), answer="It barks.", answer_type="text", completion="It barks.")
    [said] = user_turn(free, task="answer_from_description")
    assert said == f"Which barks?\n{INSTRUCTIONS['text']}\nEvidence: "


def test_a_question_and_its_options_can_stand_alone():
    assert question_text(make()) == "Which barks?\nA. a cat\nB. a dog"
    assert question_text(make(answer_with="text")) == "Which barks?\na cat\na dog"
    assert question_text(make(options=())) == "Which barks?"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plain", ""),
        (
            "vidground",
            "Based on the question and options provided, use your knowledge and common sense to "
            "determine the most likely correct answer.",
        ),
        (
            "anti_refusal",
            "The video and subtitles are not available. Based only on the question and options, "
            "you must choose the most plausible answer. If unsure, make your best guess. Do not "
            "refuse to answer.",
        ),
    ],
)
def test_suffixes_are_word_for_word_those_of_the_paper(name, words):
    assert SUFFIXES[name] == words


@pytest.mark.parametrize("answer_type", get_args(AnswerType))
def test_every_type_of_answer_is_asked_for_in_its_tags(answer_type):
    written = user_turn(make(answer_type=answer_type, answer_with="text"))[-1]
    assert str(written).endswith(f"\n{INSTRUCTIONS[answer_type]}")
    assert INSTRUCTIONS[answer_type].endswith("in <answer></answer>.")


@pytest.mark.parametrize("answer_with", ["letter", "text"])
def test_a_specimen_holds_all_that_a_turn_can_say(answer_with):
    """All instructions that apply, with the question and without, with media and suffix."""
    written = template_fingerprint(answer_with)
    other = {"letter": "choice", "text": "letter"}[answer_with]
    missing = [kind for kind, words in INSTRUCTIONS.items() if words not in written]
    assert missing == [other]
    assert ("A. one" in written) == (answer_with == "letter")
    assert '"question\\n' in written and "suffix" in written


@pytest.mark.parametrize("kind", INSTRUCTIONS)
def test_another_instruction_is_another_specimen(monkeypatch, kind):
    before = template_fingerprint("letter"), template_fingerprint("text")
    monkeypatch.setitem(INSTRUCTIONS, kind, "Answer.")
    assert (template_fingerprint("letter"), template_fingerprint("text")) != before


@pytest.mark.parametrize(("answer_with", "digest"), [("letter", "ad95cbfa"), ("text", "b5f32c8d")])
def test_answers_are_asked_for_as_before_evidence_could_be(answer_with, digest):
    """Probes of then stay valid."""
    assert sha256(template_fingerprint(answer_with).encode()).hexdigest()[:8] == digest


def test_another_way_to_ask_for_evidence_is_another_specimen_of_that_alone(monkeypatch):
    before = [template_fingerprint("letter", want) for want in get_args(Task)]
    monkeypatch.setattr("datamodules.prompts.templates.DESCRIBE", "Describe.")
    after = [template_fingerprint("letter", want) for want in get_args(Task)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]
    assert len(set(after)) == 3
