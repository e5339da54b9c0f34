"""Parse completions like the scripts of benchmarks' publishers; `publisher` says which does what.

Each function returns the letter, the text or the count that one published script finds, and None
where that script finds nothing or picks an option at random, or the first. The scripts' mistakes
are kept; `verify` does better.
Regular expressions that are quadratic in unclosed tags are scans for fixed strings instead.
"""

import re
import string
from collections.abc import Mapping, Sequence

from datamodules.sample import LETTERS
from modules.verifiers.numerals import SMALL, TENS

OPEN, CLOSE = "<answer>", "</answer>"

LEAD_INS = ("The best answer is", "The correct answer is", "The answer is", "The answer")
"""Phrases that Video-MME removes before it looks for a letter. Its list has two more pairs, each
joined to one text by a missing comma, so that they never match."""

MORE_LEAD_INS = (*LEAD_INS, "Answer:", "Option:")
"""The list for WorldSense, in VLMEvalKit."""

SCALES = ("billion", "million", "thousand")
POINT = "point"

MAX_DIGITS = 300
"""More overflow a float, at which the published script fails."""

NUMBER_WORDS: Mapping[str, int] = {
    **{word: value for value, word in enumerate(SMALL)},
    **{word: 10 * value for value, word in enumerate(TENS, start=2)},
    **{"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9},
}


def tokens(text: str) -> frozenset[str]:
    """Split a text into the words that MMAU and MMAR compare: no case, order or punctuation."""
    return frozenset(re.findall(r"\w+", text.lower()))


def matches_text(completion: str, answer: str, options: Sequence[str]) -> bool:
    """Tell whether all words of the answer occur, and none that only other options have."""
    words, gold = tokens(completion), tokens(answer)
    others = frozenset().union(*map(tokens, options)) - gold
    return bool(words) and gold <= words and not words & others


def outer_letter(completion: str) -> str | None:
    """Take the first character, or the last but one, if it is A to D, as MMSU does."""
    text = completion.strip().replace("\n", "")
    if not text or text == "None":
        return None
    return next((mark for mark in (text[0], text[-2:-1]) if mark and mark in "ABCD"), None)


def leading_letter(completion: str) -> str | None:
    """Take what the completion begins with, if that is a to d in either case, as Daily-Omni."""
    first = completion.lstrip()[:1].upper()
    return first if first and first in "ABCD" else None


def first_capital(completion: str, lead_ins: Sequence[str]) -> str | None:
    """Take the first capital A to D of any word, once lead-ins are removed, as Video-MME does."""
    text = completion.strip()
    for words in lead_ins:
        text = text.replace(words, "")
    return next((mark for mark in text if mark in "ABCD"), None)


def tagged(completion: str) -> str | None:
    """Take the content of the first closed `<answer>`, as HumanOmniV2 does for IntentBench."""
    return next(iter(_tags(completion)), "") or None


def capital_in_tag(completion: str) -> str | None:
    """Find A to F in the last `<answer>`, else anywhere, as Video-Holmes does.

    A letter before a space or a colon, or after a bracket, takes precedence; then the first of the
    alphabet, not of the text.
    """
    tags = _tags(completion)
    text = tags[-1] if tags else completion
    marked = (x for x in "ABCDEF" if f"{x} " in text or f"{x}:" in text or f"[{x}" in text)
    return next(marked, None) or next((letter for letter in "ABCDEF" if letter in text), None)


def bracketed_letter(completion: str, options: Sequence[str]) -> str | None:
    """Find "(A)", else "A ", else "A.", else an option's text in a long reply, as OmniBench does.

    Of several, the last in brackets or between spaces wins; without such, the first of the
    alphabet.
    """
    text, letters = f" {completion} ", LETTERS[: len(options)]
    for before, after in ("()", ("", " "), ("", ".")):
        found = [letter for letter in letters if f"{before}{letter}{after}" in text]
        if found:
            around = "()" if before else "  "
            return max(found, key=lambda letter: text.rfind(f"{around[0]}{letter}{around[1]}"))
    return _written_out(text, options)


def any_capital(completion: str, options: Sequence[str]) -> str | None:
    """Find any capital of the options' letters, else an option's text, as AV-Odyssey does.

    Of several, the last in brackets wins; without such, the first of the alphabet.
    """
    for mark in ",.!?;:'":
        completion = completion.strip(mark)
    text = f" {completion} "
    found = [letter for letter in LETTERS[: len(options)] if letter in text]
    if found:
        return max(found, key=lambda letter: text.rfind(f"({letter})"))
    return _written_out(text, options)


def cleaned_letter(completion: str, letters: str) -> str | None:
    """Take a reply that is a letter, "A. ..." or a box with either, as OmniVideoBench does.

    A box is looked for once more in lower case, so that "/BOX{B}" is one.
    """
    text = _unboxed(completion).lower()
    boxed = _box(text, "/box{")
    text = text if boxed is None else boxed
    text = text[0] if text[1:2] == "." else text
    text = "".join(mark for mark in text if mark not in string.punctuation).strip()
    return text.upper() if len(text) == 1 and text in letters.lower() else None


def says_failed(completion: str) -> bool:
    """Tell whether OmniVideoBench's script takes a reply for its own note that a video failed."""
    return _unboxed(completion).startswith(("Video file not found", "Error:"))


def _unboxed(completion: str) -> str:
    """Remove thought in `<think>`, as the script for thinking models does, and take the box of the
    rest, if there is one."""
    kept, end = "", 0
    for start, stop in _spans(completion, "<think>", "</think>"):
        kept, end = kept + completion[end:start], stop + len("</think>")
    text = (kept + completion[end:]).strip() or completion.strip()
    for opening in ("/box{", "\\boxed{"):
        boxed = _box(text, opening)
        text = text if boxed is None else boxed.strip()
    return text


def _box(text: str, opening: str) -> str | None:
    """Take the content of the first box that is closed and not empty."""
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
    """Parse a count as the package word2number does, which CG-AV's script uses.

    Digits must be the whole reply, without white space around them. Else its number words are read,
    whatever is between them: "three or four" is 7, "one point five" 1.5, "about 7" nothing.
    """
    text = completion.replace("-", " ").lower()
    if text.isdigit():
        return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None
    return _written_number([word for word in text.split() if word in NUMBER_WORDS or word == POINT])


def _written_number(words: Sequence[str]) -> float | None:
    """Add up number words; None where there are none, or none in a valid order.

    The quirks are the package's: a scale that comes last is also counted with the words before it,
    so that "one million two thousand" is 1,003,002, and of five words or more the first counts.
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
    digits = [NUMBER_WORDS[word] for word in decimals if word in SMALL[:10]]
    valid = decimals and len(digits) == len(decimals)
    return total + float(f"0.{''.join(map(str, digits))}") if valid else total


def _group(values: Sequence[int]) -> int:
    """Parse the words before a scale as hundreds, tens and ones, by their number."""
    match values:
        case [hundreds, hundred, *rest] if len(rest) in (1, 2):
            return hundreds * hundred + sum(rest)
        case [first, second]:
            return first * second if 100 in values else first + second
        case _:
            return values[0]


def _tags(completion: str) -> list[str]:
    """List the contents of all closed `<answer>` tags."""
    spans = _spans(completion, OPEN, CLOSE)
    return [completion[start + len(OPEN) : stop].strip() for start, stop in spans]


def _spans(text: str, opening: str, closing: str) -> list[tuple[int, int]]:
    """List where each opening mark and the next closing one begin."""
    spans, end = [], 0
    while (start := text.find(opening, end)) >= 0:
        stop = text.find(closing, start + len(opening))
        if stop < 0:
            break
        spans.append((start, stop))
        end = stop + len(closing)
    return spans


def _written_out(text: str, options: Sequence[str]) -> str | None:
    """Find the option whose text comes last in a reply of more than five words."""
    low = text.lower()
    if len(text.split()) <= 5:
        return None
    places = [low.rfind(option.lower()) for option in options]
    last = max(places)
    return LETTERS[places.index(last)] if last >= 0 else None
