"""Whatever options look like: what is imitated is right, and for any other option it is wrong."""

import random
import unicodedata
from dataclasses import replace
from typing import get_args

import pytest

from datamodules.prompts.orders import arrange_options
from datamodules.prompts.templates import target_text
from datamodules.sample import LETTERS, AnswerWith, Sample
from modules.grading import OptionScores
from modules.rewards.verifier_reward import matches_exactly
from modules.verifiers.parsing import choice
from modules.verifiers.verify import verify
from tests.adversarial_options import SETS
from tests.golden_choices import golden_sample

WAYS = get_args(AnswerWith)
PIECES = (
    *("A", "B", "C", "D", "a", "b", "A.", "B.", "(A)", "Option", "option", "1", "2", "3", "10"),
    *(" ", " ", ". ", "-", "−", "+", "'", '"', "!", "?", ",", ", ", ":", "(", ")", "[", "]", "$"),
    *("x", "y", "_", "^", "*", "%", "°", "=", "<", ">", "the ", "an ", "a ", "cat", "Cat", "and "),
    *("\\boxed{", "}", "\\text{", "<answer>", "</answer>", "<think>", "</think>", "é", "e\u0301"),
    *("中", "א", "🙂", "Ａ", "\u200b", "½", "²", "∞", "≥", "...", "\n"),
)


def told_apart(options: tuple[str, ...]) -> bool:
    """As rows are: without outer white space, not empty, and other than what a tokenizer merges."""
    return all(option == option.strip() != "" for option in options)


def check(options: tuple[str, ...], *, orders: int | None = None) -> None:
    """Judge what is imitated for each option where each is right, in each way and order."""
    for place, letter in enumerate(LETTERS[: len(options)]):
        written = golden_sample("choice", letter, *options)
        for way in WAYS:
            for order in range(orders or len(options)):
                asked = arrange_options(written, option_seed=order, answer_with=way)
                assert asked.options[asked.letters.index(asked.answer)] == options[place]
                judge(asked)


def judge(asked: Sample) -> None:
    """Hold every option's own words against one question, as it was put."""
    right = asked.options[asked.letters.index(asked.answer)]
    for letter, option in zip(asked.letters, asked.options, strict=True):
        same = option == right
        words = target_text(replace(asked, answer=letter))
        verdict = verify(words, sample=asked)
        assert verdict.correct == same, (asked.answer_with, asked.options, asked.answer, words)
        assert verdict.parsed, (asked.answer_with, asked.options, words)
        assert matches_exactly(words, asked) == same, (asked.options, asked.answer, words)
        if asked.answer_with == "letter":
            for form in (f"{letter}. {option}", f"({letter})", f"**{letter}**", f"{letter}."):
                if form in asked.options and form != f"{letter}. {option}":
                    continue  # then it is that text
                correct = verify(f"<answer>{form}</answer>", sample=asked).correct
                assert correct == same, (asked.options, asked.answer, form)
            assert verify(f"\\boxed{{{letter}}}", sample=asked).correct == same
        elif letter not in asked.options and letter.lower() not in map(str.lower, asked.options):
            lone = verify(f"<answer>{letter}</answer>", sample=asked)
            assert (lone.rule == "option_text" and not lone.correct) or reads_as(letter, asked)


def reads_as(letter: str, asked: Sample) -> bool:
    """Whether the right option is another way of typing a letter, as "(A)" or "Ａ" is."""
    right = asked.options[asked.letters.index(asked.answer)]
    kept = [mark for mark in unicodedata.normalize("NFKC", right).casefold() if mark.isalnum()]
    return letter.casefold() in "".join(kept)


@pytest.mark.parametrize("options", SETS, ids=lambda options: str(options[0])[:12])
def test_what_is_imitated_is_right_and_for_another_option_wrong(options):
    assert told_apart(options) and len(set(options)) == len(options)
    check(options[: len(LETTERS)])


def test_there_are_sets_of_every_kind():
    assert len(SETS) >= 100
    assert {len(options) for options in SETS} >= {2, 4, 5, 6, 10}


@pytest.mark.parametrize("seed", range(20))
def test_random_options_are_told_apart_too(seed):
    """A hundred sets of two to six options, each of up to four pieces."""
    dice = random.Random(seed)
    for _ in range(100):
        made = ("".join(dice.choices(PIECES, k=dice.randint(1, 4))).strip() for _ in range(20))
        options = tuple(dict.fromkeys(filter(None, made)))[: dice.randint(2, 6)]
        check(options, orders=1)


@pytest.mark.parametrize("seed", range(5))
def test_any_of_equal_options_is_right(seed):
    """The right one is listed twice, or a wrong one is; letters and texts are judged alike."""
    dice = random.Random(seed)
    for options in SETS[:-1]:
        doubled = [*options[:9], dice.choice(options[:9])]
        dice.shuffle(doubled)
        check(tuple(doubled), orders=2)


@pytest.mark.parametrize("way", WAYS)
def test_the_likeliest_option_is_right_where_it_equals_the_answer(way):
    """Of a, b, a the first and the last tie and are both right; a tie with b is not."""
    sample = golden_sample("choice", "A", "a", "b", "a")
    sample = replace(sample, answer_with=way)
    logprobs = ((-1.0, -2.0, -1.0), (-2.0, -1.0, -2.0), (-1.0, -1.0, -1.0), (-3.0, -2.0, -1.0))
    scores = OptionScores(sample=sample, logprobs=logprobs)
    assert scores.correct == (True, False, False, True)


def test_a_letter_is_a_text_where_no_letters_are_shown():
    """The four notes: the letter of the right one is another one's name."""
    notes = golden_sample("choice", "A", "C", "A", "B", "D")
    shown = replace(notes, answer_with="text")
    for said, lettered, texts in (("C", False, True), ("A", True, False), ("D", False, False)):
        completion = f"<answer>{said}</answer>"
        assert verify(completion, sample=notes).correct is lettered
        assert verify(completion, sample=shown).correct is texts
        assert matches_exactly(completion, notes) is lettered
        assert matches_exactly(completion, shown) is texts
    for said in ("A. C", "(A) C", "Option A", "option 1", "A: C"):
        assert choice(said, notes) in (("letter", "A"), ("index", "A"))
        assert choice(said, shown) == ("option_text", None)


def test_exact_texts_come_before_other_readings():
    for options, said in (
        (("pH", "PH"), "PH"),
        (("+", "-"), "-"),
        (("[0, 1]", "(0, 1)"), "(0, 1)"),
        (("Option B", "Option A"), "Option A"),
        (("$320", "-$320"), "-$320"),
        (("3!", "3"), "3"),
        (("∞", "−∞"), "−∞"),
    ):
        for way in WAYS:
            sample = replace(golden_sample("choice", "B", *options), answer_with=way)
            assert choice(said, sample) == ("option_text", "B")


def test_weaker_readings_decide_only_where_one_option_is_left():
    sample = golden_sample("choice", "A", "pH", "PH", "salt", "Salt!")
    for way in WAYS:
        put_so = replace(sample, answer_with=way)
        assert choice("ph", put_so)[1] is None
        assert choice("Salt", put_so)[1] == "C"
        assert choice("salt!", put_so)[1] == "D"
        assert choice("SALT", put_so)[1] == "C"
        assert choice("SALT?", put_so)[1] is None
