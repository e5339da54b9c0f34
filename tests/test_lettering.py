"""Letters before options: stripped where they are letters, kept where they are words."""

import pytest

from datamodules.sources.lettering import lettered, lists_options, split_options


@pytest.mark.parametrize(
    "options",
    [
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
    ],
)
def test_words_and_names_are_never_stripped(options):
    assert lettered(options) == options


@pytest.mark.parametrize(
    ("text", "question", "options"),
    [
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
def test_options_may_stand_behind_one_another(text, question, options):
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


@pytest.mark.parametrize("text", ["Which note is it?", "Is it A or B?", "In 3 B.C. or 4 A.D.?"])
def test_a_text_with_letters_need_not_list_options(text):
    assert split_options(text) == (text, [])
    assert not lists_options(text, "B")


def test_letters_may_be_as_wide_as_chinese_characters():
    assert lettered(["Ａ．猫", "Ｂ．狗"]) == ["猫", "狗"]
    assert lettered(["（ａ） Ａ猫", "（ｂ） Ｂ狗"]) == ["Ａ猫", "Ｂ狗"]
    assert lettered(["Ａ", "Ｂ"]) == ["Ａ", "Ｂ"]
    assert lettered(["Ａ級", "Ｂ級"]) == ["Ａ級", "Ｂ級"]
