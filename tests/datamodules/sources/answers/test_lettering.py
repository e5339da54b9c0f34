"""Letters before options: stripped where they are letters, kept where they are words."""

import pytest

from datamodules.sources.answers.lettering import lettered, lists_options, split_options


@pytest.mark.parametrize(
    "options",
    [
        ["A. x", "B. y"],
        ["A.  x", "B. y"],
        ["A) x", "B) y"],
        ["(A) x", "(B) y"],
        ["(A)x", "(B)y"],
        ["A: x", "B: y"],
        ["A.x", "B.y"],
        ["A、x", "B、y"],
        ["A）x", "B）y"],
        ["A：x", "B：y"],
        ["[A] x", "[B] y"],
        ["A - x", "B - y"],
        ["a) x", "b) y"],
        ["(a) x", "(b) y"],
        ["A.x", "B y"],
        ["A x", "B: y"],
    ],
)
def test_letters_are_known_by_their_marks(options):
    assert lettered(options) == ["x", "y"]


@pytest.mark.parametrize(
    "options",
    [
        ["A Kitchen", "B Bath"],
        ["A Kitchen", "B bath", "C hall", "D 4"],
        ["A 4", "B 5"],
        ["A the red one", "B the blue one", "C the green one"],
    ],
)
def test_letters_with_only_a_space_behind_them_are_letters_where_no_phrase_begins_so(options):
    assert lettered(options) == [option[2:] for option in options]


@pytest.mark.parametrize(
    "options",
    [
        ["A sharp", "B sharp", "C sharp"],
        ["A minor", "B flat", "C major", "D minor"],
        ["A positive", "B negative", "A negative"],
        ["A cat", "B-flat"],
        ["A cat", "B movie"],
        ["A Team", "B Team", "C Team"],
        ["A dog", "A cat", "A cow"],
        ["a cat", "b side"],
        ["A.M.", "B.C."],
        ["A.", "B."],
        ["A. x"],
        ["A. x", "y"],
        ["B. x", "A. y"],
        ["A. x", "A. y"],
        ["A", "B"],
        ["A man", "B flat"],
        [],
    ],
)
def test_words_and_names_are_never_stripped(options):
    assert lettered(options) == options


@pytest.mark.parametrize(
    ("text", "question", "options"),
    [
        ("Which?\nA. x\nB. y", "Which?", ["x", "y"]),
        ("Which?\n(A) x\n(B) y\nBe brief.", "Which?\nBe brief.", ["x", "y"]),
        ("A. is an example.\nWhich?\nA. x\nB. y", "A. is an example.\nWhich?", ["x", "y"]),
        ("Who? A. x B. y C. z", "Who?", ["x", "y", "z"]),
        ("Who? A) x, B) y, C) z", "Who?", ["x", "y", "z"]),
        ("Who?\n(A) x (B) y\nBe brief.", "Who?\nBe brief.", ["x", "y"]),
        ("Who?\nA. x  B. y\nC. z  D. w", "Who?", ["x", "y", "z", "w"]),
        ("Who? a) x b) y", "Who?", ["x", "y"]),
        ("Who?\na) x\nb) y", "Who?", ["x", "y"]),
        ("Who? A、x B、y", "Who?", ["x", "y"]),
        ("谁？\nＡ．猫\nＢ．狗", "谁？", ["猫", "狗"]),
        ("谁？Ａ．猫 Ｂ．狗", "谁？", ["猫", "狗"]),
        ("Who? A. It is late. B. It is not.", "Who?", ["It is late.", "It is not."]),
    ],
)
def test_options_may_stand_in_lines_or_behind_one_another(text, question, options):
    assert split_options(text) == (question, options)
    assert lists_options(text, "b" if "b)" in text else "B")


@pytest.mark.parametrize(
    "text",
    [
        "A: hi. B: ho. Who is rude?",
        "Who? A. x C. z B. y",
        "Who? A. x B. y B. z",
        "Who? A. x. B. y. Which is it, and why?",
        "A. x B. y",
    ],
)
def test_options_that_cannot_be_told_apart_stay_but_are_noticed(text):
    assert split_options(text) == (text, [])
    assert lists_options(text, "B")


@pytest.mark.parametrize("text", ["Which?\nA. x", "Which?\nA. x\nC. y", "Who is A?\nB. knows."])
def test_lines_that_are_not_all_there_or_out_of_order_list_no_options(text):
    assert split_options(text) == (text, [])


@pytest.mark.parametrize("text", ["Which note is it?", "Is it A or B?", "In 3 B.C. or 4 A.D.?"])
def test_a_text_with_letters_need_not_list_options(text):
    assert split_options(text) == (text, [])
    assert not lists_options(text, "B")


def test_letters_may_be_as_wide_as_chinese_characters():
    assert lettered(["Ａ．猫", "Ｂ．狗"]) == ["猫", "狗"]
    assert lettered(["（ａ） Ａ猫", "（ｂ） Ｂ狗"]) == ["Ａ猫", "Ｂ狗"]
    assert lettered(["Ａ", "Ｂ"]) == ["Ａ", "Ｂ"]
    assert lettered(["Ａ級", "Ｂ級"]) == ["Ａ級", "Ｂ級"]


MARKED = (
    *("**{}.** x", "<{}> x", "{}> x", "{} = x", "- {}. x", "* {}) x", "| {} | x |", "{{{}}} x"),
    *("'{}': 'x'", "{}/x", "{} x", "[{}] x", "（{}）x", "{}: x", "Option {}: x"),
)


@pytest.mark.parametrize("mark", MARKED)
@pytest.mark.parametrize("answer", ["B", "(b)", "B. y", "C", "**B**", "A, C", "AC", "A and B"])
def test_a_mark_of_an_option_is_no_answer_in_words_however_it_is_set_off(mark, answer):
    text = "Which?\n" + "\n".join(mark.format(letter) for letter in "ABC")
    small = answer == "(b)"
    assert lists_options(text.replace("A", "a").replace("B", "b") if small else text, answer) or (
        small and mark in ("{} = x", "{}/x", "{} x")  # which small letters are not set off by
    )
    assert not lists_options("Which?\nx\ny", answer)


@pytest.mark.parametrize(
    ("marks", "answer"),
    [
        (("1.", "2.", "3."), "2"),
        (("(1)", "(2)", "(3)"), "(3)"),
        (("1)", "2)"), "2. y"),
        (("①", "②"), "②"),
        (("(i)", "(ii)"), "ii"),
        (("I.", "II."), "II"),
        (("А)", "Б)"), "Б"),
        (("K.", "A.", "B."), "K"),
    ],
)
def test_numbers_and_other_letters_mark_options_too(marks, answer):
    text = "Which?\n" + "\n".join(
        f"{mark} {word}" for mark, word in zip(marks, "xyz", strict=False)
    )
    assert lists_options(text, answer)
    assert not lists_options(text, "19")


def test_a_word_or_a_count_is_no_mark_of_an_option():
    text = "Which?\nA. cat\nB. dog"
    assert not lists_options(text, "owl") and not lists_options(text, "2")
    assert not lists_options("Is speaker A or speaker B louder?", "B")
    assert not lists_options("It began at 1:30 and ended at 2:45. How many came?", "2")


def test_options_as_a_list_are_noticed():
    for answer, noticed in (("B", True), ("cat", False), ("2", False)):
        assert lists_options("Which? Choices: ['cat', 'dog']", answer) == noticed


def test_bullets_and_instructions_are_no_part_of_an_option():
    assert split_options("Which?\n- A. cat\n- B. dog") == ("Which?", ["cat", "dog"])
    for text in (
        "Which? A. cat B. dog Please answer with the letter.",
        "Which?\nA. cat\nB. dog Answer with the option's letter from the given choices directly.",
    ):
        assert split_options(text) == (text, [])


@pytest.mark.parametrize("mark", ["{}. x", "({}) x"])
def test_no_option_is_left_behind(mark):
    lines = [mark.format(letter) for letter in "ABCDEFGHIJK"]
    text = "\n".join(["Which?", *lines])
    assert split_options(text) == (text, [])
    for ten in (lines[:10], [line.lower() for line in lines[:10]]):
        assert split_options("\n".join(["Which?", *ten])) == ("Which?", ["x"] * 10)
