"""Read completions as the publishers of benchmarks read them; `official` says which reads what.

Each function finds the letter, the text or the count that one published script finds, and None
where that script finds nothing or takes an option at random, or the first. Nothing is mended: what
a script mistakes for an answer is mistaken here too, and `verifiers` is there to do better.
Regular expressions that are quadratic in unclosed tags are scans for fixed strings instead.
"""

import re
import string
from collections.abc import Mapping, Sequence

from datamodules.sample import LETTERS

OPEN, CLOSE = "<answer>", "</answer>"

LEAD_INS = ("The best answer is", "The correct answer is", "The answer is", "The answer")
"""What Video-MME removes before it looks for a letter. Its list has two more pairs, each joined to
one text by a missing comma, so that they are never met."""

MORE_LEAD_INS = (*LEAD_INS, "Answer:", "Option:")
"""The same list where WorldSense is scored, in VLMEvalKit."""

MAX_DIGITS = 300
"""More make no float, where the published count would end the whole evaluation."""

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBER_WORDS: Mapping[str, int] = {
    **{word: value for value, word in enumerate(_SMALL)},
    **{word: 10 * value for value, word in enumerate(_TENS, start=2)},
    **{"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9},
}


def tokens(text: str) -> frozenset[str]:
    """Split a text into the words that MMAU and MMAR compare: no case, order or punctuation."""
    return frozenset(re.findall(r"\w+", text.lower()))


def matches_text(completion: str, answer: str, options: Sequence[str]) -> bool:
    """Tell whether all words of the answer are there, and none that only other options have."""
    said, meant = tokens(completion), tokens(answer)
    others = frozenset().union(*map(tokens, options)) - meant
    return bool(said) and meant <= said and not said & others


def outer_letter(completion: str) -> str | None:
    """Take the first character, or the last but one, if it is A to D, as MMSU does."""
    said = completion.strip().replace("\n", "")
    if not said or said == "None":
        return None
    return next((mark for mark in (said[0], said[-2:-1]) if mark and mark in "ABCD"), None)


def leading_letter(completion: str) -> str | None:
    """Take what the completion begins with, if that is a to d in either case, as Daily-Omni."""
    first = completion.lstrip()[:1].upper()
    return first if first and first in "ABCD" else None


def first_capital(completion: str, lead_ins: Sequence[str]) -> str | None:
    """Take the first capital A to D of any word, once lead-ins are removed, as Video-MME does."""
    said = completion.strip()
    for words in lead_ins:
        said = said.replace(words, "")
    return next((mark for mark in said if mark in "ABCD"), None)


def tagged(completion: str) -> str | None:
    """Take what the first closed `<answer>` holds, as HumanOmniV2 does for IntentBench."""
    return next(iter(_tags(completion)), "") or None


def capital_in_tag(completion: str) -> str | None:
    """Find A to F in the last `<answer>`, else anywhere, as Video-Holmes does.

    A letter before a space or a colon, or behind a bracket, goes before any other; then the
    earliest of the alphabet, not of the text.
    """
    found = _tags(completion)
    said = found[-1] if found else completion
    marked = (x for x in "ABCDEF" if f"{x} " in said or f"{x}:" in said or f"[{x}" in said)
    return next(marked, None) or next((letter for letter in "ABCDEF" if letter in said), None)


def bracketed_letter(completion: str, options: Sequence[str]) -> str | None:
    """Find "(A)", else "A ", else "A.", else an option's text in a long reply, as OmniBench does.

    Of several, the last in brackets or between spaces is meant; where none stands so, the first of
    the alphabet.
    """
    said, letters = f" {completion} ", LETTERS[: len(options)]
    for before, after in ("()", ("", " "), ("", ".")):
        found = [letter for letter in letters if f"{before}{letter}{after}" in said]
        if found:
            around = "()" if before else "  "
            return max(found, key=lambda letter: said.rfind(f"{around[0]}{letter}{around[1]}"))
    return _written_out(said, options)


def any_capital(completion: str, options: Sequence[str]) -> str | None:
    """Find any capital of the options' letters, else an option's text, as AV-Odyssey does.

    Of several, the last in brackets is meant; where none is, the first of the alphabet.
    """
    for mark in ",.!?;:'":
        completion = completion.strip(mark)
    said = f" {completion} "
    found = [letter for letter in LETTERS[: len(options)] if letter in said]
    if found:
        return max(found, key=lambda letter: said.rfind(f"({letter})"))
    return _written_out(said, options)


def cleaned_letter(completion: str, letters: str) -> str | None:
    """Take a reply that is a letter, "A. ..." or a box with either, as OmniVideoBench does.

    Thought in `<think>` is removed first, as its script for thinking models has it.
    """
    kept, end = "", 0
    for start, stop in _spans(completion, "<think>", "</think>"):
        kept, end = kept + completion[end:start], stop + len("</think>")
    said = (kept + completion[end:]).strip() or completion.strip()
    for box in ("/box{", "\\boxed{"):
        held, closed, _ = said.partition(box)[2].partition("}")
        said = held.strip() if held and closed else said
    said = said[0] if said[1:2] == "." else said
    said = "".join(mark for mark in said if mark not in string.punctuation).strip().lower()
    return said.upper() if len(said) == 1 and said in letters.lower() else None


def count(completion: str) -> int | None:
    """Read digits that are the whole reply, else add up its English number words, as CG-AV does.

    "about 7" has neither and is not read; "between two and three" is five.
    """
    said = completion.strip().replace("-", " ").lower()
    if said.isdecimal():
        return int(said) if len(said) <= MAX_DIGITS else None
    words = [NUMBER_WORDS[word] for word in said.split() if word in NUMBER_WORDS]
    total = group = 0
    for value in words:
        if value == 100:
            group = max(group, 1) * 100
        elif value > 100:
            total, group = total + max(group, 1) * value, 0
        else:
            group += value
    return total + group if words else None


def _tags(completion: str) -> list[str]:
    """List what each closed `<answer>` holds."""
    spans = _spans(completion, OPEN, CLOSE)
    return [completion[start + len(OPEN) : stop].strip() for start, stop in spans]


def _spans(text: str, opening: str, closing: str) -> list[tuple[int, int]]:
    """List where a mark and the next that closes it begin, one pair behind the other."""
    found, end = [], 0
    while (start := text.find(opening, end)) >= 0:
        stop = text.find(closing, start + len(opening))
        if stop < 0:
            break
        found.append((start, stop))
        end = stop + len(closing)
    return found


def _written_out(said: str, options: Sequence[str]) -> str | None:
    """Find the option whose text comes last in a reply of more than five words."""
    low = said.lower()
    if len(said.split()) <= 5:
        return None
    places = [low.rfind(option.lower()) for option in options]
    last = max(places)
    return LETTERS[places.index(last)] if last >= 0 else None
