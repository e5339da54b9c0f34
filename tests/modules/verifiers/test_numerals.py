"""Numbers in words and as fractions, read exactly or not at all."""

import random
from decimal import Decimal

import pytest

from modules.verifiers.numerals import number
from modules.verifiers.verify import verify
from tests.golden_choices import golden_sample

READ = {
    "zero": "0",
    "Twelve": "12",
    "twenty-one": "21",
    "Twenty one.": "21",
    "**forty**": "40",
    "a hundred": "100",
    "one hundred and five": "105",
    "one hundred five": "105",
    "twelve hundred": "1200",
    "thirteen hundred and one": "1301",
    "a thousand": "1000",
    "one thousand and one": "1001",
    "one hundred thousand": "100000",
    "two million three hundred thousand and seventy-six": "2300076",
    "nine hundred ninety-nine billion": "999000000000",
    "minus three": "-3",
    "negative twenty-one": "-21",
    "minus 3": "-3",
    "zero point five": "0.5",
    "three hundred twelve point zero five": "312.05",
    "minus one point two": "-1.2",
    "1/2": "0.5",
    "-1/2": "-0.5",
    "−3 / 4": "-0.75",
    "14/2": "7",
    "0/5": "0",
    "1 1/2": "1.5",
    "-2 3/4": "-2.75",
    "½": "0.5",
    "1½": "1.5",
    "-¾": "-0.75",
    r"\frac{3}{4}": "0.75",
    r"-\dfrac{3}{4}": "-0.75",
    r"\frac12": "0.5",
    r"1\frac{1}{2}": "1.5",
    "1⁄2": "0.5",
    "minus 1/2": "-0.5",
    "- 3": "-3",
    "(-3)": "-3",
    "[12]": "12",
    "half": "0.5",
    "minus one-half": "-0.5",
    "a quarter": "0.25",
    "three fourths": "0.75",
    "seven eighths": "0.875",
    "three halves": "1.5",
    "one and a half": "1.5",
    "Two and a half": "2.5",
    "twenty-one and three quarters": "21.75",
    "2 and a half": "2.5",
    "one hundred and a half": "100.5",
    "a dozen": "12",
    "half a dozen": "6",
    "two dozen": "24",
    "3 dozen": "36",
    "1.5 million": "1500000",
    "1,500 thousand": "1500000",
    "-2 billion": "-2000000000",
    "one point five million": "1500000",
    "two and a half thousand": "2500",
    "half a million": "500000",
    "1/2 million": "500000",
    "1e3": "1000",
    "10^3": "1000",
    "10⁻²": "0.01",
    r"1.5 \times 10^{6}": "1500000",
    "1.5×10⁶": "1500000",
    "-2 x 10^-1": "-0.2",
    "１２": "12",
}
UNREAD = [
    *("", "a", "and", "hundred", "thousand", "point", "minus", "and five", "five and", "dozen"),
    *("twenty twelve", "one one", "two three", "twenty-zero", "zero hundred", "one hundred zero"),
    *("one hundred hundred", "two thousand thousand", "one thousand hundred", "five point"),
    *("point five", "one point ten", "one point two point three", "seventh"),
    *("seven dogs", "about seven", "seven or eight", "six to eight", "sevens", "seven percent"),
    *("one thousand million million", "five million billion", "forty hundred", "twenty hundred"),
    *("1/0", "0/0", "1/", "/2", "1/2/3", "1.5/2", "1/-2", "1 3/2", "1 2 3/4", "x/2", "1//2"),
    *("²/3", "١/٢", r"\frac{1}{0}", r"\frac{1}{x}", r"\frac123", "½½", "1/½", "minus minus one"),
    *("one hundred and", "one, two", "onehundred", "ninety nine ten", "a a hundred"),
    *("minus -3", "--3", "+-3", "-(-3)", "(3) (4)", "(3", "3-", "1-1/2", "1/-2", "1 2"),
    *("dozens", "a dozen dozen", "two dozen thousand", "half dozen eggs", "a half dozen two"),
    *("third", "twenty third", "one hundred third", "two third", "one thirds", "a halves"),
    *(
        "quarter",
        "half half",
        "two half",
        "half two",
        "and a half",
        "two and",
        "two and two halves",
    ),
    *("one hundred and two thirds", "half and half", "two and a half and a half", "ten seconds"),
    *(
        "million",
        "1.5 million five",
        "1 million 200 thousand",
        "1.5 hundred",
        "1.5 million million",
    ),
    *("1e3 million", "-1 -million", "1,50 million", "10^", "2^10", "10^3^2", "1.5 x 10", "x 10^3"),
    *("10^999", "1 x 10^3 x 10^3", "10²3", "1.5 × 10^1.5", r"\frac{1}{2}{3}", r"\frac{1}2x"),
]


@pytest.mark.parametrize(("text", "value"), READ.items())
def test_a_number_is_read_in_every_notation(text, value):
    assert number(text) == Decimal(value)
    for completion in (f"<answer>{text}</answer>", f"\\boxed{{{text}}}", text):
        assert verify(completion, sample=golden_sample("number", value)).correct


@pytest.mark.parametrize("text", UNREAD)
def test_what_is_not_one_number_is_none(text):
    assert number(text) is None


def test_percents_may_be_spelled_and_must_be_there():
    for text in ("50%", "50 percent", "fifty percent", "Fifty Per Cent", "50 %", "100/2 %"):
        assert number(text, percent=True) == 50
        assert number(text) is None
    for text in ("fifty", "50", "1/2", "percent", " %"):
        assert number(text, percent=True) is None


def test_a_fraction_without_an_end_is_right_within_a_tolerance_only():
    third = "<answer>1/3</answer>"
    assert verify(third, sample=golden_sample("number", "0.333", tolerance=0.001)).correct
    assert not verify(third, sample=golden_sample("number", "0.333")).correct


def spelled(value: int) -> str:
    """Write a number below a million in words, as is done in school."""
    small = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    small += " fifteen sixteen seventeen eighteen nineteen"
    tens = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
    if value < 20:
        return small.split()[value]
    if value < 100:
        return tens[value // 10 - 2] + (f"-{spelled(value % 10)}" if value % 10 else "")
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if value >= size:
            rest = value % size
            joined = " and " if rest < 100 else " "
            behind = joined + spelled(rest) if rest else ""
            return f"{spelled(value // size)} {name}{behind}"
    raise AssertionError(value)


def test_every_number_reads_as_it_is_spelled():
    dice = random.Random(0)
    for value in [*range(2000), *(dice.randrange(10**6) for _ in range(2000))]:
        words = spelled(value)
        assert number(words) == value, words
        assert number(words.replace("-", " ")) == number(words.upper()) == value
        assert number(f"minus {words}") == -value
        assert number(f"{words} point zero five") == Decimal(value) + Decimal("0.05")


RUNAWAYS = ["one ", "hundred ", "thousand ", "and ", "point ", "½", "1/", "half ", "dozen ", "10^"]


@pytest.mark.parametrize("pattern", [*RUNAWAYS, "1 and a half ", "\\frac1", "1x10", "⁰", "(", "- "])
def test_runaways_are_no_numbers(pattern):
    assert number(pattern * 20_000) is None
