"""Make a question of a text that may list its options, and its answer and completion."""

import re
from dataclasses import dataclass
from typing import final

from datamodules.sample import MAX_EXPRESSION
from datamodules.sources.answers.golds import readings
from datamodules.sources.answers.lettering import Offered, lists_options, split_options
from datamodules.sources.answers.normalize import RowError, written
from datamodules.sources.fields.columns import absent, is_short, tagged

LATEX = re.compile(r"\\[A-Za-z]{2,}|\\%|\^|^\$.*\$$")
"""Commands that occur in formulas only."""


@final
@dataclass(frozen=True, kw_only=True)
class Parts:
    """A question with the options that its text lists, and what answers it."""

    text: str
    question: str
    options: Offered
    answer: str
    chosen: str | None
    """The option that the answer names; None where the text lists none that it does."""


def parts_of(question: object, answer: object) -> Parts:
    """Take the options out of a text where the answer is one of them, or its letter.

    A `RowError` where the answer is a letter of options that cannot be told apart: as words it
    would be wrong with every other way of writing it.
    """
    if absent(answer):
        raise RowError("missing_answer", "the answer is empty, but is what is scored: give one.")
    text = written(question) if isinstance(question, str) and question.strip() else ""
    said = tagged(written(answer))
    asked, texts = split_options(text)
    options = Offered.named_by_letters(texts)
    chosen = named(said, options)
    if chosen is None and lists_options(text, said):
        raise RowError(
            "bad_answer",
            f"answer is {said[:80]!r} and the question lists options, but none that could be told "
            "apart has that mark: write the options as a list of their own.",
        )
    return Parts(text=text, question=asked, options=options, answer=said, chosen=chosen)


def named(answer: str, options: Offered) -> str | None:
    """Find the option of a text that an answer names; its letter is always a letter."""
    found = readings(answer, options, ("text", "letter")) if options.texts else {}
    return options.texts[next(iter(found.values()))] if found else None


def open_question(parts: Parts) -> dict[str, object]:
    """Make a choice where the answer names an option in the text, and else an open question."""
    if parts.chosen is not None:
        return {
            "question": parts.question,
            "options": [*parts.options.texts],
            "answer": parts.chosen,
        }
    return {"question": parts.text, "answer": parts.answer, "answer_type": type_of(parts.answer)}


def type_of(answer: str) -> str | None:
    """Distinguish formulas from text; None for an answer whose type is obvious."""
    if is_short(answer):
        return None
    return "math" if LATEX.search(answer) and len(answer) <= MAX_EXPRESSION else "text"
