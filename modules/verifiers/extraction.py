"""Extract the answer from a completion; `verify` decides whether it is right.

Thought is skipped: everything before the last `</think>`, since prompts that open the block leave a
lone `</think>`, and everything after a `<think>` that was never closed. Of the rest, in this order:

1. the content of the last `<answer>...</answer>`, even if it is empty;
2. the content of the last `\\boxed{...}` whose braces balance;
3. the whole, if short: the verifier takes it only if it is an answer and nothing else.

All are scans for fixed strings and one count of braces; the obvious regular expressions are
quadratic in unclosed tags, and a policy that loops writes thousands of them.
"""

from typing import Literal

from configs.rewards import FormatRule

Container = Literal["tags", "boxed", "bare"]

OPEN, CLOSE = "<answer>", "</answer>"
THINK, THOUGHT = "<think>", "</think>"
BOX = "\\boxed{"

MAX_CHARACTERS = 32_768
"""Only this much of a completion's end is searched, which bounds the cost of a runaway one."""

MAX_BARE = 64
"""Longest completion that is taken as a bare answer."""

WRAPPERS = (
    *(("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**")),
    *((command, "}") for command in (BOX, "\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{")),
)
_BEGINNINGS = tuple(sorted({before[0] for before, _ in WRAPPERS}))
MAX_WRAPPERS = 4
"""Models write `$\\boxed{\\text{B}}$`; answers do not nest deeper."""


def extract(completion: str) -> tuple[str, Container] | None:
    """Return the text of a completion's answer, unwrapped, and its container; None without one."""
    located = locate(completion)
    return (unwrap(located[0]), located[1]) if located else None


def locate(completion: str) -> tuple[str, Container] | None:
    """Return a completion's answer as it stands, and its container; None without one."""
    rest = completion.rpartition(THOUGHT)[2].partition(THINK)[0].strip()
    container: Container = "bare"
    text = rest if len(rest) <= MAX_BARE else ""
    tail = rest[-MAX_CHARACTERS:]
    start = tail.rfind(OPEN, 0, max(tail.rfind(CLOSE), 0))
    if start >= 0:
        start += len(OPEN)
        text, container = tail[start : tail.find(CLOSE, start)], "tags"
    elif (box := _last_box(tail)) is not None:
        text, container = box, "boxed"
    text = text.strip()
    return (text, container) if text else None


def enclosed(completion: str) -> str | None:
    """Return the content of a completion that is one pair of tags; None for any other.

    Supervised targets have this form, whatever their answer looks like.
    """
    text = completion.strip()
    if len(text) < len(OPEN + CLOSE) or not (text.startswith(OPEN) and text.endswith(CLOSE)):
        return None
    return text[len(OPEN) : -len(CLOSE)].strip()


def unwrap(text: str) -> str:
    """Remove wrappers around a whole answer, such as `$...$` and `\\boxed{...}`.

    Wrappers around a part stay, since `\\boxed{A} or \\boxed{B}` names two, and so do empty ones:
    `$$` may be the price of a restaurant.
    """
    text = text.strip()
    for _ in range(MAX_WRAPPERS if text[:1] in _BEGINNINGS else 0):
        for before, after in WRAPPERS:
            inside = text[len(before) : -len(after)].strip()
            around = text.startswith(before) and text.endswith(after)
            if inside and around and _encloses(after, inside):
                text = inside
                break
    return text


def well_formed(completion: str, rule: FormatRule) -> bool:
    """Tell whether a completion has the required format and a non-empty answer.

    `answer` ends in its one answer, after any reasoning, with at most white space behind it;
    `whole` is nothing but the answer and white space around it (AudioMCQ, arXiv 2509.21060);
    `think` is `<think>...</think>`, white space and the answer, with nothing around it
    (Video-R1, arXiv 2503.21776). Each tag occurs once.
    """
    if completion.count(OPEN) != 1 or completion.count(CLOSE) != 1:
        return False
    before, _, rest = completion.partition(OPEN)
    inside, closed, after = rest.partition(CLOSE)
    if not closed or not inside.strip():
        return False
    if rule == "answer":
        return not after.strip() and extract(completion) is not None
    if rule == "whole":
        return not before.strip() and not after.strip()
    once = completion.count(THINK) == completion.count(THOUGHT) == 1
    return once and before.startswith(THINK) and before.rstrip().endswith(THOUGHT) and not after


def _last_box(text: str) -> str | None:
    """Return the content of the box that is closed last; `\\{` and `\\}` are no braces."""
    at = text.find(BOX)
    content: str | None = None
    opened: list[int] = []  # of each brace that is still open, where a box begins, or -1
    while 0 <= at < len(text):
        mark = text[at]
        if mark == "\\":
            boxes = text.startswith(BOX, at)
            at += len(BOX) if boxes else 2
            if boxes:
                opened.append(at)
            continue
        if mark == "{":
            opened.append(-1)
        elif mark == "}" and opened and (start := opened.pop()) >= 0:
            content = text[start:at]
        at += 1
    return content


def _encloses(mark: str, inside: str) -> bool:
    """Tell whether a mark that follows this text closes the wrapper opened before it."""
    if mark != "}":
        return mark not in inside
    depth = 0
    for brace in inside:
        depth += (brace == "{") - (brace == "}")
        if depth < 0:
            return False
    return depth == 0
