"""Letters and marks are composed as Python does, in time that grows with the text alone."""

import random
import unicodedata

import pytest

from untrusted.composing import SHORT, composed

LETTERS = "aeo \u1100\u1161\u11a8가각éÅÅﬁ²ñ\u212b中؟\u0915\u093c\u0958\u05e9\u05c1"
MARKS = (
    "\u0301\u0316\u0323\u0327\u0338\u0344\u0340\u0345\u0f73"
    "\u0f71\u0f72\u0f75\u0f81\u093c\u05b0\u3099"
)


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
@pytest.mark.parametrize("seed", range(20))
def test_the_result_is_that_of_python(form, seed):
    """On 600 to 2,000 letters and marks, few and many to a letter; and on every character."""
    dice = random.Random(seed)
    share = dice.random()
    drawn = (dice.choice(MARKS if dice.random() < share else LETTERS) for _ in range(2_000))
    text = "".join(drawn)[: dice.randint(600, 2_000)]
    assert len(text) > SHORT
    assert composed(text, form) == unicodedata.normalize(form, text)


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
@pytest.mark.parametrize("before", ["", "a", "\u0301", "\u0316", "\u1100"])
def test_every_character_is_composed_as_python_does(form, before):
    letters = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    text = "".join(f"{before}{letter}\u0316" for letter in letters)
    assert composed(text, form) == unicodedata.normalize(form, text)


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0f73", "\u0344\u0323", "\u05b0\u0301\u0323"])
def test_marks_reach_python_in_their_order(monkeypatch, marks):
    """What is sorted takes one look at each: no mark that comes later belongs before another."""
    seen: list[str] = []
    whole = unicodedata.normalize
    monkeypatch.setattr(
        "untrusted.composing.unicodedata.normalize",
        lambda form, text: seen.append(text) or whole(form, text),
    )
    composed("e" + marks * 4_000)
    last = max(seen, key=len)
    order = [unicodedata.combining(part) for mark in last[1:] for part in whole("NFD", mark)]
    assert len(order) >= 4_000
    assert order == sorted(order)
