"""What adapters of published data sets share: ids, and answers as their publishers define them."""

import re
from collections.abc import Sequence

from datamodules.sources.adapter import Place, Row
from datamodules.sources.answers.golds import LONE, Way, readings, refused
from datamodules.sources.answers.lettering import Offered
from datamodules.sources.answers.normalize import RowError, is_number, written
from datamodules.sources.fields.columns import absent, listed, offered, tagged
from datamodules.sources.rows import RightOption, bare

OWN_LETTER = re.compile(r"[(\[]?([A-J])(?:[)\].:]\s*|\s+)(?=\S)")
"""A letter before an option of a data set in which all options have theirs: "A.x", "A x"."""


def named(data_set: str, row: Row, *names: str) -> dict[str, str]:
    """Take over an id, telling a bare number from those of other data sets; none if there is none.

    Rows without an id are named after their place in the manifest.
    """
    given = next((row[name] for name in names if not absent(row.get(name))), None)
    if given is None:
        return {}
    text = bare(given)
    if not isinstance(text, str) or not text.strip():
        raise RowError(
            "missing_id", f"{names[0]} is {given!r}, but an id is a text or a number: mend the row."
        )
    text = text.strip()
    return {"id": f"{data_set}-{text}" if text.isdecimal() else text}


def choice(
    question: object, options: Offered, answer: object, place: Place, *ways: Way
) -> dict[str, object]:
    """Write a question that offers options, with the one that an answer names, see `right`."""
    if not options.texts:
        raise RowError("bad_options", "there are no options, but one is the answer: add them.")
    return {
        "question": question,
        "options": [*options.texts],
        "answer": RightOption(index=right(answer, options, place, *ways)),
        "answer_type": "choice",
    }


def right(answer: object, options: Offered, place: Place, *ways: Way) -> int:
    """Find the place of the option that an answer names; a `RowError` if it names none.

    Args:
        ways: in which copies of the data set name an option, the publisher's own first. Where an
            answer names different ones in two of them, the answers of the whole file say which
            way is meant, and the publisher's is where they fit both.
    """
    if absent(answer):
        raise RowError("missing_answer", "the answer is empty, but is what is scored: give one.")
    text = tagged(written(bare(answer)))
    if place.golds.heard is not None:
        place.golds.find(text, options)
    found = readings(text, options, ways)
    if ways[0] == "letter" and LONE.fullmatch(text):  # past the last option it is a slip
        found = {way: index for way, index in found.items() if way == "letter" or "letter" in found}
    if not found:
        raise refused(text, options, ways)
    first = next(found[way] for way in ways if way in found)
    if len({*found.values()}) == 1:
        return first
    meant = {index for way, index in found.items() if way in place.golds.ways}
    return meant.pop() if len(meant) == 1 else first


def lettered_options(value: object) -> Offered:
    """Read options of a data set in which each option has its letter, by whatever mark."""
    found = offered(value)
    marks = [OWN_LETTER.match(option) for option in found.published]
    letters = "".join(mark[1] if mark else "-" for mark in marks)
    if found.lettered or len(marks) < 2 or letters != "ABCDEFGHIJ"[: len(marks)]:
        return found
    texts = [found.published[i][mark.end() :].strip() for i, mark in enumerate(marks) if mark]
    return Offered(texts=tuple(texts), published=found.published)


def named_options(value: object) -> Offered:
    """Read options that are named by letters without having them: an answer may still be a text."""
    found = offered(value)
    return Offered(texts=found.texts, published=found.texts)


def cells(row: Row, names: Sequence[str]) -> Offered:
    """Read options that have a column each; those at the end may be empty."""
    return offered([None if absent(row.get(name)) else row[name] for name in names])


def open_answer(answer: object) -> dict[str, object]:
    """Tell whether an answer without options is a number, or else a text to be met word for word.

    Lists of accepted answers, as MMMU has them, are read if they hold one.
    """
    if isinstance(answer, str) and re.match(r"\s*\[\s*['\"]", answer):
        answer = listed(answer)
    if isinstance(answer, list):
        if len(answer) != 1:
            raise RowError(
                "bad_answer",
                f"{str(answer)[:80]} are {len(answer)} accepted answers, but a question is scored "
                "by one: keep the one that is meant.",
            )
        answer = answer[0]
    text = "" if absent(answer) else written(answer)
    return {"answer": text, "answer_type": "number" if is_number(text) else "text"}
