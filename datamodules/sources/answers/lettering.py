"""Letters before options: detect, strip, and split options off a question."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from datamodules.sample import LETTERS

MARK = (
    r"[(\[（]([A-J])[)\]）]\s*|([A-J])(?:\s?[.):]\s+|[.):](?=\S)|\s?[、。）．：]\s*|\s+[-–—]\s+"
    r"|[.):]?$)"
)
"""A letter that is separated from its option: "(B) ", "B. ", "B.", "B) ", "B: ", "B、", "B - "."""

POINTED = re.compile(MARK)
POINTED_SMALL = re.compile(MARK.replace("A-J", "a-j"))
BARE = re.compile(r"([A-J])\s+(?=\S)")
INITIALS = re.compile(r"(?:[A-Z]\.){2,}")
SPLIT = r"[(\[（]([A-J])[)\]）]\s*|([A-J])(?:\s?[.)]\s+|[.)](?![A-Z]\.)(?=\S)|\s?[、）．]\s*)"
"""The marks that set letters off within a line; a colon may be what a person says."""

INLINE = re.compile(r"(?:^|(?<=[\s,;。；?？：]))(?:" + SPLIT + ")", re.MULTILINE)
INLINE_SMALL = re.compile(INLINE.pattern.replace("A-J", "a-j"), re.MULTILINE)
BULLET = re.compile(r"[-*•·]\s+")
INSTRUCTION = re.compile(
    r"\b(?:answer|respond|reply|choose|select|pick)\b.{0,40}\b(?:letter|option|choice|directly)",
    re.IGNORECASE | re.DOTALL,
)
"""Instructions of prompts behind the options."""

FURTHER = re.compile(r"(?:^|\s)[(\[（]?[Kk]\s?[.):\]、。）．：]")
"""An option beyond the last supported letter."""

ALPHABETS = (
    *(tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), tuple("abcdefghijklmnopqrstuvwxyz")),
    *(tuple("АБВГДЕЖЗИК"), tuple("абвгдежзик"), tuple("①②③④⑤⑥⑦⑧⑨⑩")),
    *(tuple(map(str, range(1, 21))), ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")),
    ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii"),
)
"""What options are marked with, in order."""

LABEL = "|".join(sorted((mark for marks in ALPHABETS for mark in marks), key=len, reverse=True))
LISTED = re.compile(
    rf"(?:^|(?<=[\s,;。；?？：|(\[（{{<*'\"-]))(?P<mark>{LABEL})"
    r"(?:['\"*]{0,2}\s?(?:[)\]、）．>|}]|[.:。：](?![0-9]))|(?<=[①-⑩])|(?<=[A-J])(?:/(?=\S)| = )"
    r"|(?<=^[A-J])\s+(?=\S))",
    re.MULTILINE,
)
SAID = re.compile(
    rf"[(\[（<*'\"]*(?P<mark>{LABEL})(?:[)\]）>*'\".:]*|(?:[)\]）]|\s?[.):])\s*\S.*)", re.DOTALL
)
PRINTED = re.compile(r"\[\s*(['\"])[^\[\]]{1,2000}\1\s*,\s*['\"][^\[\]]{1,2000}\]")
"""Options as a list of Python or JSON."""

SEVERAL = re.compile(r"[A-J](?:(?:\s*[,;/&+]\s*|\s+(?:and|or)\s+|)[A-J]){1,9}")
"""Answers that are marks of options: one, one with its text, or several letters."""

WIDE = {ord(letter) + 0xFEE0: letter for letter in "ABCDEFGHIJabcdefghij"}
"""Full-width letters, "Ａ．猫", mapped to ASCII."""

SENTENCE = re.compile(r"[.?!]\s")

OF_A_LETTER = frozenset(
    (
        *("flat", "sharp", "natural", "major", "minor", "maj", "min", "dur", "moll", "note", "key"),
        *("chord", "scale", "string", "clef", "clarinet", "positive", "negative", "blood", "grade"),
    )
)
"""Words that form a name with the letter before them, as in "B flat" and "A positive"."""


@final
@dataclass(frozen=True, kw_only=True)
class Offered:
    """Options as they are asked, and as their publisher wrote them."""

    texts: tuple[str, ...]
    published: tuple[str, ...]

    @property
    def lettered(self) -> bool:
        """Whether the publisher's have letters, to which a lone letter then refers."""
        return self.texts != self.published

    @classmethod
    def of(cls, published: Sequence[str]) -> "Offered":
        """Strip the letters of published options."""
        return cls(texts=tuple(lettered(published)), published=tuple(published))

    @classmethod
    def named_by_letters(cls, texts: Sequence[str]) -> "Offered":
        """Put letters before options that are named by them, in a column or a question."""
        pairs = zip(LETTERS, texts, strict=False)
        return cls(texts=tuple(texts), published=tuple(f"{name}. {text}" for name, text in pairs))


def narrow(text: str) -> str:
    """Write wide letters as others, each in its place."""
    return text.translate(WIDE)


def lettered(options: Sequence[str]) -> list[str]:
    """Strip the letters of options, if all have their own, in order: the prompt adds them.

    A letter is set off by a mark, as in "A. x", "A.x" or "(A) x"; all may be small. By white space
    alone it is one, as in "A Kitchen", if another option has a mark, or if no option can be a
    phrase: there are three, or all go on with a capital or a digit; and none of them is the name of
    a note or the like, and without their letters they differ.
    """
    whole, seen = list(options), [narrow(option) for option in options]
    letters = list(LETTERS[: len(whole)])
    if len(whole) < 2 or seen == letters or not seen[0][:2].strip("([（").startswith(("A", "a")):
        return whole
    if all(map(INITIALS.fullmatch, seen)):
        return whole
    small = [POINTED_SMALL.match(option) for option in seen]
    if [match and _of(match).upper() for match in small] == letters:
        return _rests(whole, small)
    found = [POINTED.match(option) or BARE.match(option) for option in seen]
    if [match and _of(match) for match in found] != letters:
        return whole
    rests = _rests(whole, found)
    if all(match and match.re is BARE for match in found):
        first = [rest.split()[0].strip(".,;").lower() for rest in rests]
        alone = len(whole) > 2 or all(not rest[0].islower() for rest in rests)
        distinct = len({rest.casefold() for rest in rests}) == len(rests)
        if not (alone and distinct) or not OF_A_LETTER.isdisjoint(first):
            return whole
    return rests


def _of(match: re.Match[str]) -> str:
    return next(filter(None, match.groups()))


def _rests(options: Sequence[str], found: Sequence[re.Match[str] | None]) -> list[str]:
    """Take what stands behind the letters; letters with nothing behind any are the options."""
    rests = [
        option[match.end() :].strip() for option, match in zip(options, found, strict=True) if match
    ]
    return rests if any(rests) else list(options)


def split_options(text: str) -> tuple[str, list[str]]:
    """Take the options out of a question: its last lines that begin with A., B., C., in order.

    Where no lines do, options may stand behind one another, A. x B. y C. z, if all letters come
    once and in order, and none of the options holds more than a sentence. What follows on later
    lines is part of the question.
    """
    found = _by_lines(text) or _within(text, INLINE) or _within(text, INLINE_SMALL)
    if found is None or any(map(INSTRUCTION.search, found[1])):
        return text, []
    more = len(found[1]) == len(LETTERS) and FURTHER.search(found[0]) is not None
    return (text, []) if more else found


def lists_options(text: str, answer: str) -> bool:
    """Tell whether a text lists options of which an answer is the mark, perhaps in a form that
    `split_options` cannot parse.

    It does if marks of the same kind are separated in it, the first of them and then the second.
    """
    said, several = SAID.fullmatch(narrow(answer)), SEVERAL.fullmatch(narrow(answer))
    if said is None and several is None:
        return False
    if PRINTED.search(text) and (several or (said is not None and said["mark"].isalpha())):
        return True
    found = [match["mark"] for match in LISTED.finditer(narrow(text))]
    for marks in ALPHABETS:
        if marks[0] in found and marks[1] in found[found.index(marks[0]) :]:
            number = marks[0] == "1"
            named = said is not None and said["mark"] in marks
            if number and said is not None and named:
                return int(said["mark"]) <= sum(mark in marks for mark in found)
            if named or (several is not None and marks[0] == "A"):
                return True
    return False


def _by_lines(text: str) -> tuple[str, list[str]] | None:
    lines = [BULLET.sub("", line.strip(), count=1) for line in text.splitlines()]
    for pattern in (POINTED, POINTED_SMALL):
        marks = [pattern.match(narrow(line)) for line in lines]
        letters = [
            _of(mark).upper() if mark and mark.end() < len(line) else ""
            for mark, line in zip(marks, lines, strict=True)
        ]
        start = len(letters) - 1 - letters[::-1].index("A") if "A" in letters else len(letters)
        end = start
        while letters[end : end + 1] == [*LETTERS[end - start : end - start + 1]] != []:
            end += 1
        count = end - start
        if count >= 2:
            options = _rests(lines[start:end], marks[start:end])
            more = LETTERS[count : count + 1]
            if any(_of(mark) == more for one in options for mark in INLINE.finditer(narrow(one))):
                return None  # two to a line
            rest = text.splitlines()
            return "\n".join(line.strip() for line in rest[:start] + rest[end:]).strip(), options
    return None


def _within(text: str, pattern: re.Pattern[str]) -> tuple[str, list[str]] | None:
    marks = list(pattern.finditer(narrow(text)))
    starts = [place for place, mark in enumerate(marks) if _of(mark) in "Aa"]
    run = marks[starts[-1] :] if starts else []
    if len(run) < 2 or [_of(mark).upper() for mark in run] != [*LETTERS[: len(run)]]:
        return None
    asked, rest = text[: run[0].start()], text[run[-1].end() :]
    last, _, after = rest.partition("\n")
    options = [text[mark.end() : behind.start()] for mark, behind in pairwise(run)] + [last]
    options = [option.strip().rstrip(",;，；").strip() for option in options]
    if not asked.strip() or not all(options) or any(map(SENTENCE.search, options)):
        return None
    return "\n".join(part.strip() for part in (asked, after) if part.strip()), options
