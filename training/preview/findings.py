"""What a preview has found, and the same as tables and notes."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.preview.counts import AnswerRow, Duplicates, Entry
from training.preview.reading import ReadQuestion
from training.preview.strange import quantiles

LISTED = 3
"""Duplicates that are named."""

LONGEST = 60
"""Most characters of an answer in a table."""


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """The records that were set aside for one reason, and the first of them."""

    reason: str
    count: int
    id: str
    path: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that a preview says."""

    stage: str
    """The stage that is previewed."""

    split: str
    model: str
    records: int
    """Questions of the manifest, good and bad."""

    usable: int
    kept: int
    """Questions in an epoch: usable ones that the filter keeps, or one for each of their traces."""

    refusals: Sequence[str]
    """Why the training would not start, or would stop."""

    aside: Sequence[SetAside]
    bands: Mapping[str, int]
    """Questions by the band of the rule of data.contribution; empty without a rule."""

    entries: Mapping[int, Entry]
    answers: Sequence[AnswerRow]
    sizes: Sequence[Mapping[str, float]]
    """Of the questions that were measured."""

    unreadable: int
    """Further questions that were to be measured and could not be read."""

    duplicates: Duplicates
    steps: Sequence[str]
    first: Sequence[ReadQuestion]
    strange: Sequence[tuple[ReadQuestion, Sequence[str]]]
    """Strange questions, each with what is strange about it."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report: a table, or notes, or both."""

    title: str
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    left: int = 1
    """Columns that are aligned to the left."""

    notes: Sequence[str] = ()


def sections(found: Findings) -> list[Section]:
    """Write the findings about all questions as tables and notes."""
    return [
        _questions(found),
        *([_aside(found.aside)] if found.aside else []),
        *([_lengths(found)] if found.sizes else []),
        *([_answers(found.answers)] if found.answers else []),
        *([_duplicates(found.duplicates, found.kept)] if found.kept else []),
        *([Section(title="Steps", notes=found.steps)] if found.kept else []),
    ]


def _questions(found: Findings) -> Section:
    """Count the questions from the manifest to an epoch."""
    kinds = Counter(entry.kind for entry in found.entries.values())
    rows = [["records", f"{found.records:,}"], ["usable", f"{found.usable:,}"]]
    rows += [[f"of these {band or 'unjudged'}", f"{n:,}"] for band, n in found.bands.items()]
    rows += [["in an epoch", f"{found.kept:,}"]]
    rows += [
        [f"with {kind}" if kind != "text" else "without media", f"{count:,}"]
        for kind, count in kinds.most_common()
    ]
    return Section(title="Questions", head=("", "n"), rows=rows)


def _aside(aside: Sequence[SetAside]) -> Section:
    """List why records were set aside, with the first of each reason."""
    rows = [[one.reason, shortened(f"{one.id} ({one.path})"), f"{one.count:,}"] for one in aside]
    notes = [f"{one.reason}: {one.detail}" for one in aside]
    return Section(title="Set aside", head=("reason", "first", "n"), rows=rows, left=2, notes=notes)


def _lengths(found: Findings) -> Section:
    """Summarize what was measured; a row is about the questions that have some of it."""
    names = dict.fromkeys(name for one in found.sizes for name in one)
    rows = []
    for name in names:
        values = [one[name] for one in found.sizes if name in one]
        digits = 1 if name.startswith("seconds") else 0
        rows.append([name, f"{len(values)}", *(f"{n:,.{digits}f}" for n in quantiles(values))])
    notes = [f"measured: {len(found.sizes):,} of {found.kept:,} questions, evenly spread"]
    if found.unreadable:
        notes += [f"{found.unreadable:,} more could not be read, and are set aside"]
    head = ("each question", "n", "min", "median", "p95", "max")
    return Section(title="Lengths", head=head, rows=rows, notes=notes)


def _answers(answers: Sequence[AnswerRow]) -> Section:
    """Name the most frequent answer of each type, and what always giving it would score."""
    rows = [
        [
            *(row.answer_type, shortened(row.answer), f"{row.distinct:,}", f"{row.questions:,}"),
            f"{100 * row.right / row.questions:.1f}",
            "-" if row.chance is None else f"{100 * row.chance:.1f}",
        ]
        for row in answers
    ]
    right, asked = (sum(vars(row)[name] for row in answers) for name in ("right", "questions"))
    notes = [
        f"always giving the most frequent answer of each type scores {100 * right / asked:.1f} %"
    ]
    notes += [
        f"majority: {row.answer_type} is answered by {shortened(row.answer)!r} in {row.right:,} of "
        f"{row.questions:,}, so that a model may learn to say it unseen and unheard"
        for row in answers
        if row.majority
    ]
    head = ("answer type", "most frequent", "distinct", "n", "scores %", "chance %")
    return Section(title="Answers", head=head, rows=rows, left=2, notes=notes)


def _duplicates(found: Duplicates, kept: int) -> Section:
    """Count duplicates and name the first ones."""
    looked_at = "the" if found.compared == kept else "the first"
    notes = [
        f"{found.wordings:,} different texts in {looked_at} {found.compared:,} questions, options "
        "aside",
        _pairs("the same in words and media", found.same),
        _pairs("nearly the same words about the same media", found.near),
    ]
    return Section(title="Duplicates", notes=notes)


def _pairs(what: str, pairs: Sequence[tuple[str, str]]) -> str:
    named = ", ".join(f"{later} as {earlier}" for earlier, later in pairs[:LISTED])
    more = ", ..." if len(pairs) > LISTED else ""
    return f"{len(pairs):,} are {what}" + (f": {named}{more}" if pairs else "")


def shortened(text: str) -> str:
    """Cut a text to the width of a table."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def size_words(sizes: Mapping[str, float]) -> str:
    """Write the sizes of one question in a row."""
    single = {name: re.sub(r"s\b", "", name, count=1) for name in sizes}
    return ", ".join(
        f"{round(size, 2):,.12g} {single[name] if size == 1 else name}"
        for name, size in sizes.items()
    )
