"""Find where a completion gives its answer; whether that is right is for `verifiers` to say.

What was thought is no answer: whatever comes before the last `</think>` is not looked at, because
prompts that open the block leave a lone `</think>` behind, and neither is what follows a `<think>`
that was never closed. Of the rest, in this order:

1. what stands in the last `<answer>...</answer>`, even if that is nothing;
2. what stands in the last `\\boxed{...}` whose braces balance;
3. the whole, where it is short: the verifier takes it only if it is an answer and nothing else.

All of it are scans for fixed strings and one count of braces; the obvious regular expressions are
quadratic in unclosed tags, and a policy that loops writes thousands of them.
"""

from typing import Literal

from configs.rewards import FormatRule

Container = Literal["tags", "boxed", "bare"]

OPEN, CLOSE = "<answer>", "</answer>"
THINK, THOUGHT = "<think>", "</think>"
BOX = "\\boxed{"

MAX_CHARACTERS = 32_768
"""Only this much of a completion's end is searched: a runaway costs no more than a long answer."""

MAX_BARE = 64
"""Longest completion that may be an answer as a whole."""

WRAPPERS = (
    *(("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**")),
    *((command, "}") for command in (BOX, "\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{")),
)
_BEGINNINGS = tuple(sorted({before[0] for before, _ in WRAPPERS}))
MAX_WRAPPERS = 4
"""Models write `$\\boxed{\\text{B}}$`; nobody who means an answer nests deeper."""


def extract(completion: str) -> tuple[str, Container] | None:
    """Return the text of a completion's answer and what it stood in; None where there is none."""
    found = locate(completion)
    return (unwrap(found[0]), found[1]) if found else None


def locate(completion: str) -> tuple[str, Container] | None:
    """Return what stands where a completion gives its answer, with all that is put around it."""
    said = completion.rpartition(THOUGHT)[2].partition(THINK)[0].strip()
    container: Container = "bare"
    text = said if len(said) <= MAX_BARE else ""
    tail = said[-MAX_CHARACTERS:]
    start = tail.rfind(OPEN, 0, max(tail.rfind(CLOSE), 0))
    if start >= 0:
        start += len(OPEN)
        text, container = tail[start : tail.find(CLOSE, start)], "tags"
    elif (box := _last_box(tail)) is not None:
        text, container = box, "boxed"
    text = text.strip()
    return (text, container) if text else None


def enclosed(completion: str) -> str | None:
    """Return all that stands between the tags of a completion that is nothing else.

    What is imitated has this form, whatever its answer may look like.
    """
    said = completion.strip()
    if len(said) < len(OPEN + CLOSE) or not (said.startswith(OPEN) and said.endswith(CLOSE)):
        return None
    return said[len(OPEN) : -len(CLOSE)].strip()


def unwrap(text: str) -> str:
    """Take off what is put around a whole answer, such as `$...$` and `\\boxed{...}`.

    What is around a part stays, since `\\boxed{A} or \\boxed{B}` names two. So does what is around
    nothing, as `$$` may be the price of a restaurant.
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
    """Tell whether a completion has the form that is asked for, and its answer is not empty.

    `answer` ends in its one answer, behind any reasoning, and white space at most after it; `whole`
    is nothing else, white space around it aside (AudioMCQ, arXiv 2509.21060); `think` is
    `<think>...</think>`, white space and the answer, to the letter and without any around it
    (Video-R1, arXiv 2503.21776). Each tag stands there once.
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
    """Return what stands in the box that is closed last; `\\{` and `\\}` are no braces."""
    at = text.find(BOX)
    found: str | None = None
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
            found = text[start:at]
        at += 1
    return found


def _encloses(mark: str, inside: str) -> bool:
    """Tell whether a closing mark behind this text closes what was opened before it."""
    if mark != "}":
        return mark not in inside
    depth = 0
    for brace in inside:
        depth += (brace == "{") - (brace == "}")
        if depth < 0:
            return False
    return depth == 0
