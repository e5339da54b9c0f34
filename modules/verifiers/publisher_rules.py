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

SCALES = ("billion", "million", "thousand")
POINT = "point"

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

    A box is looked for once more in lower case, so that "/BOX{B}" is one.
    """
    said = _unboxed(completion).lower()
    held = _box(said, "/box{")
    said = said if held is None else held
    said = said[0] if said[1:2] == "." else said
    said = "".join(mark for mark in said if mark not in string.punctuation).strip()
    return said.upper() if len(said) == 1 and said in letters.lower() else None


def says_failed(completion: str) -> bool:
    """Tell whether OmniVideoBench's script takes a reply for its own note that a film failed."""
    return _unboxed(completion).startswith(("Video file not found", "Error:"))


def _unboxed(completion: str) -> str:
    """Remove thought in `<think>`, as the script for thinking models has it, and what is boxed of
    the rest is all of it."""
    kept, end = "", 0
    for start, stop in _spans(completion, "<think>", "</think>"):
        kept, end = kept + completion[end:start], stop + len("</think>")
    said = (kept + completion[end:]).strip() or completion.strip()
    for opening in ("/box{", "\\boxed{"):
        held = _box(said, opening)
        said = said if held is None else held.strip()
    return said


def _box(text: str, opening: str) -> str | None:
    """Take what the first box holds that is closed and not empty."""
    start = text.find(opening)
    while start >= 0:
        inside = start + len(opening)
        end = text.find("}", inside)
        if end < 0:
            return None
        if end > inside:
            return text[inside:end]
        start = text.find(opening, inside)
    return None


def count(completion: str) -> float | None:
    """Read a count as the package word2number does, by which CG-AV's script reads replies.

    Digits are the whole reply, without white space around them. Else its number words are read,
    whatever stands between them: "three or four" is 7, "one point five" 1.5, "about 7" nothing.
    """
    said = completion.replace("-", " ").lower()
    if said.isdigit():
        return int(said) if said.isdecimal() and len(said) <= MAX_DIGITS else None
    return _written_number([word for word in said.split() if word in NUMBER_WORDS or word == POINT])


def _written_number(words: Sequence[str]) -> float | None:
    """Add up number words; None where they are none, or none in a possible order.

    The quirks are the package's: a scale that stands last is also counted with the words before it,
    so that "one million two thousand" is 1,003,002, and of five words and more the first counts.
    """
    once = (*SCALES, POINT)
    if not words or any(words.count(word) > 1 for word in once):
        return None
    end = words.index(POINT) if POINT in words else len(words)
    whole, decimals = words[:end], words[end + 1 :]
    places = [whole.index(scale) for scale in SCALES if scale in whole]
    if places != sorted(places):
        return None
    groups: list[tuple[Sequence[str], int]] = []
    if len(whole) == 1:
        groups.append((whole, 1))
    elif whole:
        begins = [0, *(place + 1 for place in places)]
        groups += [
            (whole[begin:place], NUMBER_WORDS[whole[place]])
            for begin, place in zip(begins, places, strict=False)
        ]
        rest = [begin for begin in begins if begin < len(whole)]
        groups += [(whole[rest[-1] :], 1)] if places != [len(whole) - 1] else []
    if not all(group for group, _ in groups):
        return None
    total = sum(_group([NUMBER_WORDS[word] for word in group]) * by for group, by in groups)
    digits = [NUMBER_WORDS[word] for word in decimals if word in _SMALL[:10]]
    read = decimals and len(digits) == len(decimals)
    return total + float(f"0.{''.join(map(str, digits))}") if read else total


def _group(values: Sequence[int]) -> int:
    """Read the words before a scale as hundreds, tens and ones, by how many they are."""
    match values:
        case [hundreds, hundred, *rest] if len(rest) in (1, 2):
            return hundreds * hundred + sum(rest)
        case [first, second]:
            return first * second if 100 in values else first + second
        case _:
            return values[0]


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
