"""Normalize texts: remove marks that are typography, keep those that carry meaning.

"a red-brown dog!" is "a red brown dog", but -x is not x. A mark is typography where it stands
around or between words, or ends a sentence. One that touches a digit, a symbol or a single letter,
or stands in an expression, is kept, and so is one in doubt.
"""

import unicodedata
from itertools import accumulate

from modules.verifiers.symbols import symbols
from untrusted.composing import composed

_TYPED: dict[int, str | None] = {
    **dict.fromkeys(map(ord, "‐‑‒–—―−﹣"), "-"),
    **dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")),
    **{0xFF01 + offset: chr(0x21 + offset) for offset in range(94)},  # full-width forms
    0x3000: " ",
}
"""Variants of one character in different keyboards and scripts; some are invisible."""

_QUOTED: dict[int, str] = {
    **dict.fromkeys(map(ord, "“”„«»″「」『』"), '"'),
    **dict.fromkeys(map(ord, "‘’‚′"), "'"),
    **dict.fromkeys(map(ord, "、،"), ","),
    **{ord("…"): "...", ord("【"): "[", ord("】"): "]", ord("؛"): ";"},
}
_MEANT = (
    *(("''", '"'), ("!=", "≠"), (">=", "≥"), ("<=", "≤")),
    *((f"{currency}-", f"-{currency}") for currency in "$€£"),
)
"""Alternative spellings of one sign."""

_NOISE = frozenset("`?¿¡。؟۔《》〈〉")
"""Marks that never carry meaning."""

_MARKS = frozenset(".,;:!\"'()[]{}*_-") | _NOISE
_OPENING = {"(": ")", "[": "]", "{": "}"}
_CLOSING = frozenset(_OPENING.values())
_LIST, _RATIO = ",", ":"
_TIGHT = frozenset((_LIST, _RATIO))
_OPERATORS = frozenset("+-*/=<>^≤≥≠×·÷±√|")
_ADHERING = frozenset("%°")

_ARTICLES = ("a ", "an ", "the ")
_NOT_AFTER_A = frozenset(
    (
        *("few", "little", "lot", "bit", "couple", "while", "one", "side", "list", "star"),
        *("minor", "major", "flat", "sharp", "natural", "level", "levels", "team", "train"),
        *("plus", "minus", "positive", "negative"),
    )
)
_NOT_AFTER_THE = frozenset(
    ("who", "which", "what", "one", "ones", "other", "others", "same", "first", "last")
)
"""Words that change meaning with the article: the key of A minor, the band The Who."""


def plain(text: str) -> str:
    """Replace dashes, full-width forms and zero-width characters by ASCII."""
    return text.translate(_TYPED)


def typed(text: str) -> str:
    """Replace typographic variants by ASCII, with single spaces; case and marks stay."""
    if text.isascii():
        return " ".join(text.split())
    return " ".join(plain(composed(text)).translate(_QUOTED).split())


def normalize(text: str) -> str:
    """Remove case, spacing and typography, so that two ways of typing a text become equal.

    -5 is not 5, 1.5 is not 15, (0, 1] is not [0, 1), 3! is not 3 and C# is not C.
    """
    text = typed(text).casefold()
    for written, meant in _MEANT:
        text = text.replace(written, meant)
    text = symbols(text)
    if _MARKS.isdisjoint(text):
        return _adhered(text) if " " in text else text
    return _adhered(" ".join("".join(_kept(text)).split())) if text else text


def without_article(words: str) -> str:
    """Remove a leading article from normalized words, where that does not change the meaning."""
    for article in _ARTICLES:
        if words.startswith(article):
            rest = words[len(article) :]
            first = rest.partition(" ")[0]
            guarded = _NOT_AFTER_THE if article == "the " else _NOT_AFTER_A
            ranked = article == "the " and first[:1].isdigit() and first[-1:].isalpha()
            named = len(first) > 1 and first.isalpha() and first not in guarded
            return rest if named or ranked else words
    return words


def _kept(text: str) -> list[str]:
    """Keep, blank or drop each character."""
    kinds = _kinds(text)
    words = "w" in kinds
    ended = len(text.rstrip(" .!?\"'*_)]}")) if words else len(text)
    brackets = _brackets(text, kinds, ended)
    found: list[str] = []
    opened: set[str] = set()  # quotes and emphasis
    depth = 0
    for at, mark in enumerate(text):
        if mark not in _MARKS:
            if mark != " " or not found or found[-1] not in _TIGHT:
                found.append(mark)
            continue
        before = kinds[at - 1] if at else " "
        after = kinds[at + 1] if at + 1 < len(text) else " "
        keep = False
        if mark in _OPENING or mark in _CLOSING:
            keep = at in brackets
            kinds[at] = kinds[at] if keep else "m"
            depth += ((mark in _OPENING) - (mark in _CLOSING)) * keep
        elif mark == ".":
            keep = after == "d" and before not in "wl"
        elif mark in ",;:":
            tight = _tight(text, at, inside=depth > 0)
            if tight is not None:
                while tight and found[-1] == " ":
                    found.pop()
                found.append(tight)
                continue
        elif mark == "!":
            keep = (before in "dl]!" and at < ended) or (at == 0 and after in "dlw[")  # "not"
            kinds[at] = "!" if keep else "m"
        elif mark == "-":
            keep = _minus(text, kinds, at, words=words)
        elif mark == "_":
            keep = before in "dl]" and after in "dlw["
        elif mark not in _NOISE:  # a quote or a star
            keep = _lone(mark, text[at + 1 : at + 2], kinds, at, opened)
            kinds[at] = "*" if keep and mark == "*" else "m"
        found.append(mark if keep else " ")
    return found


def _kinds(text: str) -> list[str]:
    """Classify each character: d a digit, l a lone letter, w a letter of a word, [ and ]
    brackets, m another mark, s a symbol, or a space.

    Only letters of scripts with two cases can be lone; a Chinese character is a word.
    """
    kinds: list[str] = []
    run = 0
    for mark in text:
        if mark.isalpha() or (mark > "\x7f" and unicodedata.combining(mark)):
            run += 1
            kinds.append("l" if run == 1 and mark.upper() != mark else "w")
            if run == 2:
                kinds[-2] = "w"
            continue
        run = 0
        if mark.isdigit():
            kinds.append("d")
        elif mark in _OPENING:
            kinds.append("[")
        elif mark in _CLOSING:
            kinds.append("]")
        else:
            kinds.append(" " if mark == " " else "m" if mark in _MARKS else "s")
    return kinds


def _brackets(text: str, kinds: list[str], ended: int) -> set[int]:
    """Find the brackets that carry meaning: around several values, or next to an expression.

    Those around words or around one value are typography, and so is an unmatched one.
    """
    inside = [*accumulate((kind == "w" for kind in kinds), initial=0)]
    values = [*accumulate((kind in "dls" for kind in kinds), initial=0)]
    parts = [*accumulate((mark in ",;:" for mark in text), initial=0)]
    kept: set[int] = set()
    stack: list[int] = []
    for at, kind in enumerate(kinds):
        if kind == "[":
            stack.append(at)
        if kind != "]" or not stack:
            continue
        start = stack.pop()
        if inside[at] > inside[start] or values[at] == values[start]:
            continue
        left, right = text[max(0, start - 2) : start].rstrip(), text[at + 1 : at + 3].lstrip()
        applied = start > 0 and (kinds[start - 1] in "dl]" or text[start - 1] == "_")
        applied |= at + 1 < len(kinds) and (
            kinds[at + 1] in "dl[" or (text[at + 1] == "!" and at + 1 < ended)
        )
        applied |= left[-1:] in _OPERATORS or right[:1] in _OPERATORS
        if parts[at] > parts[start] or applied:
            kept |= {start, at}
    return kept


def _tight(text: str, at: int, *, inside: bool) -> str | None:
    """Return a separator between two digits, without spaces: 1,5 is not 15, nor is 2:1.

    `""` for a comma that groups digits, None for a separator between words.
    """
    before, after = text[max(0, at - 2) : at].rstrip(), text[at + 1 : at + 3].lstrip(" $.")
    if not (before[-1:].isdigit() and after[:1].isdigit()):
        return None
    if text[at] == "," and not inside and _groups(text, at):
        return ""
    return _LIST if text[at] in ",;" else _RATIO


def _groups(text: str, at: int) -> bool:
    """Tell whether a comma groups the digits of a number, as in 1,234,567.8."""
    if not text[at + 1 : at + 4].isdigit() or text[at + 4 : at + 5].isdigit():
        return False
    start, end = at, at + 1
    while start > 0 and at - start < 30 and (text[start - 1].isdigit() or text[start - 1] == ","):
        start -= 1
    while end < len(text) and end - at < 30 and (text[end].isdigit() or text[end] == ","):
        end += 1
    first, *rest = text[start:end].rstrip(",").split(",")
    behind = text[start - 1 : start] if start else ""
    return (
        1 <= len(first) <= 3
        and first[0] != "0"
        and bool(rest)
        and all(len(group) == 3 for group in rest)
        and behind != "."
    )


def _minus(text: str, kinds: list[str], at: int, *, words: bool) -> bool:
    """Tell a sign, a range or a grade from a hyphen or a dash."""
    before = kinds[at - 1] if at else ""
    after = kinds[at + 1] if at + 1 < len(kinds) else ""
    if after == "":  # Cl-, A-, or the sign by itself
        return before in "dl]" or " " not in text
    if after == " ":
        if before in " m" or before == "":
            following = kinds[at + 2] if at + 2 < len(kinds) else ""
            return following == "d" or (following in "lsm[" and following != "" and not words)
        short = before == "w" and (at < 3 or kinds[at - 3] != "w")  # as in Cl- and OH-
        return before in "dl]" or short
    if after == "w":
        return before in "s[" or before == "" or (before == "m" and text[at - 1] in "\"'*")
    if after == "m" and text[at + 1] == "-":  # a dash of two, or a sign behind a number
        return before in "dl]" and before != ""
    if after == "m":
        return before != "w" and text[at + 1 : at + 3].lstrip(".")[:1].isdigit()
    return before != "w"


def _lone(mark: str, following: str, kinds: list[str], at: int, opened: set[str]) -> bool:
    """Tell whether a quote or a star means feet, a derivative, a grade or a product; those that
    enclose something are typography."""
    before = kinds[at - 1] if at else " "
    after = kinds[at + 1] if at + 1 < len(kinds) else " "
    if mark == "*" and before in "dl]*" and (after in "dl[" or following == mark):
        return before == "*" or mark not in opened
    if before in " m[" and after != " ":
        opened.add(mark)
        return False
    if mark in opened:
        if after not in "dlw" and following != mark:
            opened.discard(mark)
        return False
    if mark == "*":  # behind a space it is a product, or the bullet of a list
        return before in "dl]" or (before == " " and at > 1 and kinds[at - 2] in "dl]")
    return before == "d" or (before == "l" and after not in "dlw")


def _adhered(text: str) -> str:
    """Remove the spaces of an expression: 3 - 5 is 3-5, and 50 % is 50%."""
    tokens = text.split(" ")
    simple = [*map(_simple, tokens), False]
    found, closed = tokens[:1], False
    for place, token in enumerate(tokens[1:], start=1):
        last = tokens[place - 1]
        both = simple[place - 1] and simple[place]
        if token in _ADHERING or token[0] == "°":
            closed = last[-1:].isdigit()
        elif token in _OPERATORS:
            closed = simple[place - 1] and simple[place + 1]
        elif last in _OPERATORS:
            closed = closed or (last == "-" and len(tokens) == 2)
        else:
            closed = both and (last[-1] in _OPERATORS or token[0] in _OPERATORS - {"-"})
        found.append(token if closed else f" {token}")
    return "".join(found)


def _simple(token: str) -> bool:
    """Tell whether a token is a part of an expression: numbers, single letters, operators."""
    letters = 0
    for mark in token:
        letters = letters + 1 if mark.isalpha() else 0
        if letters > 1 or not (mark.isalnum() or mark in _OPERATORS or mark in "()[]{}.,:!_∞'"):
            return False
    return token != "" and token not in _OPERATORS
