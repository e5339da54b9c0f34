"""Where an answer is looked for, and what form a completion is paid for."""

import pytest

from modules.verifiers.extraction import MAX_BARE, MAX_CHARACTERS, extract, unwrap, well_formed


def test_tags_come_before_boxes_and_boxes_before_the_whole():
    assert extract("\\boxed{1} <answer>2</answer>") == ("2", "tags")
    assert extract("so \\boxed{1}") == ("1", "boxed")
    assert extract(" 3\n") == ("3", "bare")


def test_the_last_answer_counts():
    assert extract("<answer>1</answer><answer>2</answer>") == ("2", "tags")
    assert extract("\\boxed{1}, no, \\boxed{2}") == ("2", "boxed")


def test_an_empty_pair_of_tags_is_an_answer_left_out():
    assert extract("\\boxed{1} <answer>2</answer> <answer> </answer>") is None


def test_a_box_that_was_never_closed_is_none():
    assert extract("\\boxed{1} and \\boxed{2") == ("1", "boxed")
    assert extract("\\boxed{1 and so on" + "." * MAX_BARE) is None


def test_braces_within_a_box_are_its_own():
    assert extract("\\boxed{\\frac{1}{2}}}") == ("\\frac{1}{2}", "boxed")
    assert extract("\\boxed{\\{1, 2\\}}") == ("\\{1, 2\\}", "boxed")
    assert extract("{{ \\boxed{\\left\\{1\\right.}") == ("\\left\\{1\\right.", "boxed")


def test_the_outer_of_two_boxes_counts_and_the_inner_is_taken_out():
    assert extract("\\boxed{1 + \\boxed{2}}") == ("1 + \\boxed{2}", "boxed")
    assert extract("\\boxed{\\boxed{2}}") == ("2", "boxed")


def test_only_a_short_completion_may_be_an_answer_as_a_whole():
    assert extract("x" * MAX_BARE) == ("x" * MAX_BARE, "bare")
    assert extract("x" * (MAX_BARE + 1)) is None
    assert extract("x" * MAX_BARE + " " * MAX_CHARACTERS + "B") is None


def test_what_was_thought_is_not_looked_at():
    assert extract("<think><answer>1</answer></think><answer>2</answer>") == ("2", "tags")
    assert extract("opened by the prompt: \\boxed{1}</think> 2") == ("2", "bare")
    assert extract("<answer>1</answer><think>no, <answer>2</answer>") == ("1", "tags")
    assert extract("<think><answer>1</answer></think>") is None
    assert extract("<think>" + "x" * MAX_CHARACTERS + "<answer>1</answer>") is None


def test_only_the_end_of_a_runaway_is_searched():
    early = "<answer>B</answer>" + "x" * MAX_CHARACTERS
    late = "x" * (10 * MAX_CHARACTERS) + "<answer>B</answer>"
    assert extract(early) is None
    assert extract(late) == ("B", "tags")


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (" $B$ ", "B"),
        ("$$\\boxed{B}$$", "B"),
        ("\\(\\text{B}\\)", "B"),
        ("\\[ \\mathbf{ B } \\]", "B"),
        ("**\\boxed{B}**", "B"),
        ("\\text{A} or \\text{B}", "\\text{A} or \\text{B}"),
        ("$1$ and $2$", "$1$ and $2$"),
        ("**A** or **B**", "**A** or **B**"),
        ("\\text{{B}", "\\text{{B}"),
        ("\\boxed{}", "\\boxed{}"),
        ("$$", "$$"),
        ("$", "$"),
        ("", ""),
    ],
)
def test_what_is_around_a_whole_answer_is_taken_off(text, inside):
    assert unwrap(text) == inside


BOTH = "<think>x</think><answer>B</answer>"

# completion, and whether `answer`, `whole` and `think` pay for it
FORMS = [
    ("<answer>B</answer>", True, True, False),
    ("\n<answer>B</answer>\n", True, True, False),
    ("It sounds high. <answer>B</answer>\n", True, False, False),
    (BOTH, True, False, True),
    (BOTH.replace("</think>", "</think>\n \n"), True, False, True),
    (BOTH.replace("x", "\n"), True, False, True),
    (BOTH + "\n", True, False, False),
    (" " + BOTH, True, False, False),
    ("So: " + BOTH, True, False, False),
    (BOTH.replace("</think>", "</think>so"), True, False, False),
    (BOTH.replace("x", "<think>"), True, False, False),
    (BOTH.replace("x", "</think>"), True, False, False),
    (BOTH.replace("B", "</think>"), True, False, False),
    (BOTH.replace("<think>", ""), True, False, False),
    (BOTH.replace("x", "<answer>A</answer>"), False, False, False),
    ("<answer>B</answer><think>x</think>", False, False, False),
    ("</think><think><answer>B</answer>", False, False, False),
    ("<answer>B</answer> I think", False, False, False),
    ("<answer> </answer>", False, False, False),
    ("<think></think><answer></answer>", False, False, False),
    ("<answer>A</answer><answer>B</answer>", False, False, False),
    ("<answer>A<answer>B</answer>", False, False, False),
    ("<answer>B</answer></answer>", False, False, False),
    ("</answer>B<answer>", False, False, False),
    ("<answer>B", False, False, False),
    ("B", False, False, False),
    ("", False, False, False),
]


@pytest.mark.parametrize(("completion", "answer", "whole", "think"), FORMS)
def test_the_forms_are_told_as_listed(completion, answer, whole, think):
    assert well_formed(completion, "answer") is answer
    assert well_formed(completion, "whole") is whole
    assert well_formed(completion, "think") is think


@pytest.mark.parametrize("pattern", ["<answer>", "</answer>", "<think>", "<think></think>", " "])
def test_repeated_tags_have_no_form(pattern):
    completion = pattern * (131_072 // len(pattern))
    for rule in ("answer", "whole", "think"):
        assert not well_formed(completion, rule)
