"""Parse a text as an answer: the option that it names, or the items of a set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from datamodules.sample import LETTERS, Sample
from modules.verifiers.extraction import unwrap
from modules.verifiers.typography import normalize, typed

ChoiceRule = Literal["letter", "index", "option_text"]
Chosen = tuple[ChoiceRule, str | None]
"""The rule that decided, and the letter of the option; None where a text names none or several."""

Level = Callable[[str], str]
"""A normalization of texts."""

_AROUND = " *_`'\"([{"
_BEHIND = " .,:;!?。)]}*_`'\""
_CLOSERS = " *_`'\")]}"


def _folded(text: str) -> str:
    return typed(text).casefold()


LEVELS: tuple[Level, ...] = (str, typed, _folded, normalize)
"""From the strictest on; a level decides only where exactly one option matches."""


def choice(text: str, sample: Sample) -> Chosen:
    """Parse which option a text names.

    Where options are shown behind letters, a lone letter names its option, and so does "B. text" as
    in the prompt; without letters, a letter is a text like others. Next the exact text of an option
    wins, then other ways of writing it that match one option only. Of equal options the first is
    returned.
    """
    check_choice(sample)
    inner = unwrap(text)
    for form in (text, inner) if inner != text else (text,):
        chosen = _exact(form, sample)
        if chosen[1] is not None:
            return _first(chosen, sample)
    lettered = sample.answer_with == "letter"
    return _first(_nearly(inner, sample.options, lettered=lettered), sample)


def check_choice(sample: Sample) -> None:
    """Raise where a choice has too few or too many options."""
    if not 2 <= len(sample.options) <= len(LETTERS):
        raise ValueError(
            f"A choice among {len(sample.options)} options (first: {list(sample.options)[:1]}) "
            f"cannot be judged: it needs 2 to {len(LETTERS)} of them. Drop the record when it is "
            "read."
        )


def as_shown(text: str, sample: Sample) -> bool:
    """Tell whether a text is exactly the answer or exactly names an option."""
    return text == sample.named_answer or _exact(text, sample)[1] is not None


def exactly(text: str, sample: Sample) -> str | None:
    """Parse which option a text names exactly, or but for case where that is unambiguous."""
    lettered = sample.answer_with == "letter"
    if lettered and text in tuple(sample.letters):
        return _first(("letter", text), sample)[1]
    if not text or text in sample.options:
        place = sample.options.index(text) if text else -1
    elif lettered and text.casefold() in tuple(sample.letters.casefold()):
        return _first(("letter", text.upper()), sample)[1]
    else:
        folded = [option.strip().casefold() for option in sample.options]
        same = [number for number, option in enumerate(folded) if option == text.casefold()]
        place = same[0] if len({sample.options[number] for number in same}) == 1 else -1
    return None if place < 0 else _first(("option_text", LETTERS[place]), sample)[1]


def items(text: str, sample: Sample) -> frozenset[str] | None:
    """Parse the items between commas; an item that names an option becomes its letter.

    Texts of options may hold commas themselves: the longest match wins.
    """
    parts = text.replace("、", ",").replace("，", ",").split(",")
    longest = 1 + max((option.count(",") for option in sample.options), default=0)
    parsed: set[str] = set()
    at = 0
    while at < len(parts):
        end = at + 1
        for width in range(longest, 0, -1) if len(sample.options) > 1 else ():
            joined = ",".join(parts[at : at + width]).strip()
            _, letter = choice(joined, sample) if joined else ("option_text", None)
            if letter is not None and at + width <= len(parts):
                parsed.add(letter)
                end = at + width
                break
        else:
            parsed.add(normalize(parts[at]))
        at = end
    return frozenset(parsed - {""}) or None


def _first(chosen: Chosen, sample: Sample) -> Chosen:
    """Return the first of equal options; none where their text is equal but not their media."""
    rule, letter = chosen
    if letter is None:
        return chosen
    alike = sample.alike(letter)
    same_text = sample.options.count(sample.options[LETTERS.index(letter)])
    doubtful = rule == "option_text" and len(alike) < same_text
    return rule, None if doubtful else alike[0]


def _exact(text: str, sample: Sample) -> Chosen:
    """Match a text with letters and options as shown."""
    if sample.answer_with == "letter" and text and text[0] in sample.letters:
        shown = sample.options[LETTERS.index(text[0])]
        if len(text) == 1 or text[1:] == f". {shown}":
            return "letter", text[0]
    if text in sample.options:
        return "option_text", LETTERS[sample.options.index(text)]
    return "option_text", None


def _nearly(text: str, options: tuple[str, ...], *, lettered: bool) -> Chosen:
    """Match a text with the other ways of naming an option."""
    named = _label(text, len(options)) if lettered else None
    if named is not None and not named.rest and named.rule == "letter" and not named.spelled:
        return "letter", named.letter
    for level in LEVELS:
        meant: set[tuple[ChoiceRule, str]] = set()
        letter = _read_at(level, options).get(level(text))
        if letter is not None:
            meant.add(("option_text", letter))
        if named is not None and named.rest and (named.marked or level is normalize):
            forms = {level(form) for form in _forms(options)[LETTERS.index(named.letter)]}
            if any(level(rest) in forms - {""} for rest in named.rest):
                meant.add(("letter", named.letter))
        if len(letters := {letter for _, letter in meant}) == 1 and "" not in letters:
            return min(meant)
        if meant:
            return "option_text", None
    if named is not None and not named.rest:
        return named.rule, named.letter
    return "option_text", None


@lru_cache(maxsize=4096)
def _read_at(level: Level, options: tuple[str, ...]) -> Mapping[str, str]:
    """Map the options, normalized at a level, to their letters; to `""` where several are equal."""
    letters: dict[str, str] = {}
    for letter, option, forms in zip(LETTERS, options, _forms(options), strict=False):
        for form in {level(form) for form in forms} - {""}:
            known = letters.setdefault(form, letter)
            if known != letter and (not known or options[LETTERS.index(known)] != option):
                letters[form] = ""
    return letters


@lru_cache(maxsize=4096)
def _forms(options: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    """List the texts of each option, as written and unwrapped."""
    return tuple(frozenset((option, unwrap(option))) for option in options)


@dataclass(frozen=True, kw_only=True)
class _Named:
    """An option named by its letter, or by its number after the word "option"."""

    letter: str
    rule: ChoiceRule
    spelled: bool
    """After the word "option"."""

    marked: bool
    """A mark or the word separates it from the text."""

    rest: tuple[str, ...] = ()
    """Candidates for its text; empty where it stands alone."""


def _label(text: str, count: int) -> _Named | None:
    """Parse "B", "(b)", "Option B", "B: some text" or "option 2"; numbers count from 1, and only
    after the word: a lone 2 is the text of an option, or nothing."""
    rest = typed(text).lstrip(_AROUND + "-")
    spelled = rest[:6].casefold() == "option" and not rest[6:7].isalnum()
    if spelled:
        rest = rest[6:].lstrip(_AROUND + ":")
    name = rest[:1].upper()
    if name and name in LETTERS[:count] and not rest[1:2].isalnum():
        behind = rest[1:]
        return _Named(
            letter=name,
            rule="letter",
            spelled=spelled,
            marked=spelled or behind.lstrip()[:1] in tuple(".:,;)]}*_-`"),
            rest=_rests(behind) if behind.strip(_BEHIND) else (),
        )
    digits = rest.rstrip(_BEHIND)
    if spelled and digits.isascii() and digits.isdigit() and len(digits) <= 2:
        number = int(digits)
        if digits == str(number) and 1 <= number <= count:
            return _Named(letter=LETTERS[number - 1], rule="index", spelled=True, marked=True)
    return None


def _rests(behind: str) -> tuple[str, ...]:
    """List candidates for the text after a letter: marks between them may belong to either."""
    rest = behind.lstrip(_CLOSERS)
    after = rest[1:] if rest[:1] in tuple(".:,;") else rest
    after = after.lstrip(" *_`")
    dashed = after.removeprefix("- ")
    forms = (form.strip() for form in (behind, rest, after, dashed))
    return tuple(dict.fromkeys(filter(None, forms)))
