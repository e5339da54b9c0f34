"""What counts as right, what counts as read, and that nothing is ever guessed."""

import ast
import inspect
from decimal import Decimal

import pytest

from modules import verifiers
from modules.verifiers import (
    MAX_CHARACTERS,
    accuracy_reward,
    extract_answer,
    format_reward,
    normalize,
    reward,
    verify,
    well_formed,
)

VOICES = ("A man", "A woman", "A child", "A robot")
DIGITS = ("3", "8")
TEN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# answer_type, options, answer, completion, parsed, correct
GOLDEN = [
    # A letter, in all the ways of writing one.
    ("choice", VOICES, "B", "<answer>B</answer>", True, True),
    ("choice", VOICES, "B", "<answer> b </answer>", True, True),
    ("choice", VOICES, "B", "<answer>(B)</answer>", True, True),
    ("choice", VOICES, "B", "<answer>[B]</answer>", True, True),
    ("choice", VOICES, "B", "<answer>B.</answer>", True, True),
    ("choice", VOICES, "B", "<answer>B)</answer>", True, True),
    ("choice", VOICES, "B", "<answer>**B**</answer>", True, True),
    ("choice", VOICES, "B", "<answer>\n`B`\n</answer>", True, True),
    ("choice", VOICES, "B", "<answer>（B）</answer>", True, True),
    ("choice", VOICES, "B", "<answer>A</answer>", True, False),
    ("choice", VOICES, "B", "<answer>E</answer>", False, False),
    ("choice", DIGITS, "B", "<answer>C</answer>", False, False),
    ("choice", TEN, "J", "<answer>J</answer>", True, True),
    ("choice", TEN, "J", "<answer>K</answer>", False, False),
    # A letter with its option's text, or with another's.
    ("choice", VOICES, "B", "<answer>B. A woman</answer>", True, True),
    ("choice", VOICES, "B", "<answer>(B) a woman.</answer>", True, True),
    ("choice", VOICES, "B", "<answer>B: A  WOMAN</answer>", True, True),
    ("choice", VOICES, "B", "<answer>B - A woman</answer>", True, True),
    ("choice", VOICES, "B", "<answer>B. A man</answer>", False, False),
    ("choice", VOICES, "B", "<answer>B. A child would sound higher.</answer>", False, False),
    ("choice", VOICES, "B", "<answer>A or B</answer>", False, False),
    ("choice", VOICES, "B", "<answer>A, B, C, D</answer>", False, False),
    ("choice", VOICES, "B", "<answer>Maybe</answer>", False, False),
    ("choice", DIGITS, "B", "<answer>B. 8</answer>", True, True),
    # An option's text.
    ("choice", VOICES, "B", "<answer>A woman</answer>", True, True),
    ("choice", VOICES, "B", "<answer>a woman!</answer>", True, True),
    ("choice", VOICES, "A", "<answer>A woman</answer>", True, False),
    ("choice", VOICES, "B", "<answer>woman</answer>", False, False),
    ("choice", VOICES, "B", "<answer>A man and A woman</answer>", False, False),
    ("choice", VOICES, "B", "<answer>not A woman</answer>", False, False),
    ("choice", DIGITS, "B", "<answer>8</answer>", True, True),
    ("choice", ("-5", "5"), "A", "<answer>-5</answer>", True, True),
    ("choice", ("-5", "5"), "A", "<answer>5</answer>", True, False),
    ("choice", ("-5", "7"), "A", "<answer>5</answer>", False, False),
    ("choice", ("1.5 s", "15 s"), "A", "<answer>15 s</answer>", True, False),
    ("choice", ("F#", "F"), "A", "<answer>F</answer>", True, False),
    # Options that read alike are told apart by letter only; letters come before texts.
    ("choice", ("cat", "Cat.", "dog"), "B", "<answer>cat</answer>", False, False),
    ("choice", ("cat", "Cat.", "dog"), "B", "<answer>B. cat</answer>", True, True),
    ("choice", ("B", "A"), "A", "<answer>A</answer>", True, True),
    ("choice", ("cat", "dog", "a cat"), "C", "<answer>a cat</answer>", False, False),
    # Which tags count.
    ("choice", VOICES, "B", "<think>A? No, C?</think><answer>B</answer>", True, True),
    ("choice", VOICES, "B", "<answer>A</answer> wait <answer>B</answer>", True, True),
    ("choice", VOICES, "B", "<answer>B</answer> wait <answer>A</answer>", True, False),
    ("choice", VOICES, "B", "<answer>B</answer> and <answer>", True, True),
    ("choice", VOICES, "B", "<answer><answer>B</answer></answer>", True, True),
    ("choice", VOICES, "B", "B", False, False),
    ("choice", VOICES, "B", "The answer is B.", False, False),
    ("choice", VOICES, "B", "<answer>B", False, False),
    ("choice", VOICES, "B", "B</answer>", False, False),
    ("choice", VOICES, "B", "</answer>B<answer>", False, False),
    ("choice", VOICES, "B", "<answer></answer>", False, False),
    ("choice", VOICES, "B", "<answer>B</answer><answer> </answer>", False, False),
    ("choice", VOICES, "B", "I cannot hear any audio.", False, False),
    ("choice", VOICES, "B", "", False, False),
    # Numbers: one value, many notations, no units and no words.
    ("number", (), "7", "<answer>7</answer>", True, True),
    ("number", (), "7", "<answer>7.0</answer>", True, True),
    ("number", (), "7", "<answer>+7</answer>", True, True),
    ("number", (), "7", "<answer>07</answer>", True, True),
    ("number", (), "7", "<answer>**7**</answer>", True, True),
    ("number", (), "7", "<answer>0.7e1</answer>", True, True),
    ("number", (), "0", "<answer>-0</answer>", True, True),
    ("number", (), "-7", "<answer>−7</answer>", True, True),
    ("number", (), "7", "<answer>-7</answer>", True, False),
    ("number", (), "7", "<answer>17</answer>", True, False),
    ("number", (), "7", "<answer>seven</answer>", False, False),
    ("number", (), "7", "<answer>7 dogs</answer>", False, False),
    ("number", (), "7", "<answer>7, 8</answer>", False, False),
    ("number", (), "7", "<answer>1_0</answer>", False, False),
    ("number", (), "7", "<answer>NaN</answer>", False, False),
    ("number", (), "7", "<answer>9e999999999</answer>", False, False),
    ("number", (), "7", "<answer>9e99999999999999999999</answer>", False, False),
    ("number", (), "7", f"<answer>{'7' * 5000}</answer>", False, False),
    # Sets: no order, no repetition, nothing missing and nothing more.
    ("set", (), "red, blue", "<answer>blue, red</answer>", True, True),
    ("set", (), "red, blue", "<answer>Red,blue,red,</answer>", True, True),
    ("set", (), "red, blue", "<answer>red</answer>", True, False),
    ("set", (), "red, blue", "<answer>red, blue, green</answer>", True, False),
    ("set", (), "red, blue", "<answer>,,</answer>", False, False),
    ("set", VOICES, "A, C", "<answer>(C), A man</answer>", True, True),
    # Yes and no: the word, not the letters inside another.
    ("yes_no", (), "no", "<answer>No.</answer>", True, True),
    ("yes_no", (), "no", "<answer>I know</answer>", False, False),
    ("yes_no", (), "yes", "<answer>yes and no</answer>", False, False),
    ("yes_no", (), "yes", "<answer>no</answer>", True, False),
    # Texts.
    ("text", (), "a red-brown dog", "<answer>A red brown dog!</answer>", True, True),
    ("text", (), "a red-brown dog", "<answer>red brown dog</answer>", True, False),
    ("text", (), "-5 degrees", "<answer>5 degrees</answer>", True, False),
    ("text", (), "50%", "<answer>50</answer>", True, False),
    ("text", (), "dog", "<answer>?!</answer>", False, False),
]


@pytest.mark.parametrize(("kind", "options", "answer", "completion", "parsed", "correct"), GOLDEN)
def test_golden_completions_are_judged_as_listed(
    kind, options, answer, completion, parsed, correct
):
    verdict = verify(completion, answer=answer, answer_type=kind, options=options)
    assert (verdict.parsed, verdict.correct) == (parsed, correct)


def test_the_golden_table_is_not_empty():
    assert len(GOLDEN) >= 60


@pytest.mark.parametrize(("kind", "options", "answer"), sorted({row[:3] for row in GOLDEN}))
def test_the_reference_answer_itself_is_always_right(kind, options, answer):
    completion = f"Because of what I hear: <answer>{answer}</answer>"
    assert verify(completion, answer=answer, answer_type=kind, options=options).correct


@pytest.mark.parametrize("n_options", range(2, 11))
def test_of_all_letters_and_texts_only_the_right_option_counts(n_options):
    options = TEN[:n_options]
    for right in range(n_options):
        for given in range(n_options):
            for words in (
                "ABCDEFGHIJ"[given],
                options[given],
                f"{'ABCDEFGHIJ'[given]}. {options[given]}",
            ):
                verdict = verify(
                    f"<answer>{words}</answer>",
                    answer="ABCDEFGHIJ"[right],
                    answer_type="choice",
                    options=options,
                )
                assert verdict.correct == (given == right)


def test_the_rule_that_decided_is_named():
    def rule(completion, answer_type="choice", answer="B"):
        options = VOICES if answer_type == "choice" else ()
        return verify(completion, answer=answer, answer_type=answer_type, options=options).rule

    assert rule("B") == "tags"
    assert rule("<answer>B</answer>") == "letter"
    assert rule("<answer>B. A woman</answer>") == "letter"
    assert rule("<answer>A woman</answer>") == "option_text"
    assert rule("<answer>7</answer>", "number", "7") == "number"
    assert rule("<answer>no</answer>", "yes_no", "no") == "yes_no"


def test_a_lone_letter_is_never_read_as_another_options_text():
    verdict = verify("<answer>A</answer>", answer="A", answer_type="choice", options=("B", "A"))
    assert (verdict.rule, verdict.correct) == ("letter", True)


def test_an_answer_that_no_completion_could_match_is_refused():
    with pytest.raises(ValueError, match=r"'E' is no choice among 4 options.*drop it when"):
        verify("<answer>E</answer>", answer="E", answer_type="choice", options=VOICES)
    with pytest.raises(ValueError, match=r"'' is no text among 0 options"):
        verify("<answer></answer>", answer="", answer_type="text", options=())
    with pytest.raises(ValueError, match=r"'maybe' is no yes_no"):
        verify("<answer>maybe</answer>", answer="maybe", answer_type="yes_no", options=())


@pytest.mark.parametrize("n_options", [0, 1, 11])
def test_a_choice_needs_two_to_ten_options(n_options):
    options = [f"option {i}" for i in range(n_options)]
    with pytest.raises(ValueError, match=f"among {n_options} options .* 2 to 10"):
        verify("<answer>A</answer>", answer="A", answer_type="choice", options=options)


def test_only_the_end_of_a_runaway_is_searched():
    early = "<answer>B</answer>" + "x" * MAX_CHARACTERS
    late = "x" * (10 * MAX_CHARACTERS) + "<answer>B</answer>"
    assert extract_answer(early) is None
    assert extract_answer(late) == "B"


@pytest.mark.parametrize(
    "pattern", ["<answer>", "</answer>", "<answer>B", "</answer><answer>", "<answer>" * 9 + "B,"]
)
def test_repeated_tags_cost_no_more_than_reading_them(pattern):
    """Judging 200 of them takes seconds at most; a quadratic search would need minutes."""
    completion = (pattern * (131_072 // len(pattern) + 1))[:131_072]
    for kind, answer in (("choice", "B"), ("set", "red")) * 100:
        options = VOICES if kind == "choice" else ()
        assert not verify(completion, answer=answer, answer_type=kind, options=options).correct
    assert not well_formed(completion)


def test_no_verdict_rests_on_chance_or_on_a_regular_expression():
    imported = {
        name.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(inspect.getsource(verifiers)))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert "decimal" in imported
    assert not imported & {"random", "re", "numpy", "torch", "secrets"}


@pytest.mark.parametrize(
    ("completion", "right"),
    [
        ("<answer>B</answer>", True),
        ("It sounds high. <answer>B</answer>\n", True),
        ("<answer>B</answer> I think", False),
        ("<answer> </answer>", False),
        ("<answer>A</answer><answer>B</answer>", False),
        ("<answer>A<answer>B</answer>", False),
        ("<answer>B</answer></answer>", False),
        ("</answer>B<answer>", False),
        ("B", False),
        ("", False),
    ],
)
def test_a_completion_is_well_formed_when_it_ends_in_its_one_answer(completion, right):
    assert well_formed(completion) is right
    assert format_reward(completion) == float(right)


def test_the_reward_weighs_accuracy_and_format():
    """Right, but with words after the tag: 0.9 * 1 + 0.25 * 0; wrong, but tidy: 0.25."""
    asked = {"answer": "B", "answer_type": "choice", "options": VOICES}
    weights = {"accuracy_weight": 0.9, "format_weight": 0.25}
    untidy, wrong = "<answer>B</answer> ok", "<answer>C</answer>"
    assert reward(untidy, **asked, **weights) == (0.9, {"accuracy": 1.0, "format": 0.0})
    assert reward(wrong, **asked, **weights) == (0.25, {"accuracy": 0.0, "format": 1.0})
    assert accuracy_reward(untidy, **asked) == 1.0


def test_normalizing_keeps_what_a_number_is_made_of():
    assert normalize("“Well-known”,  they SAID: 1.5, -5 or - 5!") == (
        "well known they said 1.5 -5 or - 5"
    )


def test_huge_exponents_are_never_expanded():
    assert verifiers._number("1e100") == Decimal("1e100")
    assert verifiers._number("1e101") is None
    assert verifiers._number("0e999999") is None
