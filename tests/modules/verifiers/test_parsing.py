"""What a text is read as."""

from decimal import Decimal

import pytest

from modules.verifiers.numerals import number
from modules.verifiers.parsing import choice, items
from modules.verifiers.typography import normalize
from tests.golden_choices import golden_sample


def test_normalizing_keeps_what_a_number_is_made_of():
    assert normalize("“Well-known”,  they SAID: 1.5, -5 or - 5!") == (
        "well known they said 1.5 -5 or - 5"
    )


def test_symbols_carry_meaning():
    assert normalize("C++ / C# / $5 / 50%") == "c++ / c# / $5 / 50%"


def test_what_keyboards_differ_in_does_not_matter():
    assert normalize("ＡＢ１２\u3000−５％ e\u0301\u200b") == "ab12 -5% é"


def test_superscripts_are_not_digits():
    assert normalize("10²") != normalize("102")


def test_huge_exponents_are_never_expanded():
    assert number("1e100") == Decimal("1e100")
    assert number("1e101") is None
    assert number("1e-101") is None
    assert number("0e999999") is None


def test_no_digit_of_a_number_is_lost():
    digits = "1234567890.12345678901234567890123456789"
    assert len(digits) == 40
    assert number(digits) == Decimal(digits)
    assert number(digits + "0") is None


@pytest.mark.parametrize(("text", "value"), [("1,234", 1234), ("-12,345,678", -12345678)])
def test_commas_group_thousands(text, value):
    assert number(text) == value


@pytest.mark.parametrize("text", ["1,23", "1,2345", "1234,567", ",123", "1,", "0,123", "1.5,000"])
def test_other_commas_are_doubtful(text):
    assert number(text) is None


def test_a_percent_sign_is_there_where_percents_are_meant_and_nowhere_else():
    assert number("12.5 %", percent=True) == Decimal("12.5")
    assert number("12.5", percent=True) is None
    assert number("12.5%") is None
    assert number("12%%", percent=True) is None


def test_what_could_mean_two_options_means_neither():
    """ "A cat!" may be the text of the third, or name the first with its text."""
    sample = golden_sample("choice", "A", "cat", "dog", "a cat")
    assert choice("A cat!", sample)[1] is None
    assert choice("a cat", sample) == ("option_text", "C")
    assert choice("C: a cat", sample) == ("letter", "C")
    assert choice("option 3", sample) == ("index", "C")


def test_a_number_that_is_an_options_text_means_that_option():
    second = golden_sample("choice", "A", "x", "Option 1")
    assert choice("Option 1", second) == choice("option 1", second) == ("option_text", "B")
    assert choice("option 2", second) == ("index", "B")


def test_items_may_name_options_in_any_way():
    sample = golden_sample("set", "A", "x", "y")
    assert items("B; no", sample) == frozenset({"b no"})
    assert items("y, option 1, z", sample) == frozenset("BAz")
    assert items("，、", golden_sample("set", "x")) is None
