"""What a text is read as."""

from decimal import Decimal

import pytest

from modules.readings import choices, items, normalize, number


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
    """ "a cat" is the text of the third and names the first with its text."""
    named = choices(("cat", "dog", "a cat"))
    assert "a cat" not in named
    assert named["c a cat"] == ("letter", "C")
    assert named["option 3"] == ("index", "C")


def test_a_number_that_is_another_options_text_means_neither():
    assert "option 1" not in choices(("x", "Option 1"))
    assert choices(("Option 1", "x"))["option 1"] == ("index", "A")


def test_items_may_name_options_in_any_way():
    assert items("B; no", ("x", "y")) == frozenset({"b no"})
    assert items("y, option 1, z", ("x", "y")) == frozenset("BAz")
    assert items("，、", ()) is None
