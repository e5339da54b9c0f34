"""Write a preview as plain text, for people in a hurry."""

from collections.abc import Iterator, Sequence
from textwrap import fill

from evaluation.statistics.tables import layout
from training.preview.findings import Findings, Section, sections, size_words
from training.preview.reading import ReadQuestion, Run

WIDTH = 100
LONGEST = 1500
"""Most characters of a prompt or completion."""


def report(found: Findings) -> str:
    """Write all findings; the page has the same and the media."""
    lines = [f"PREVIEW of stage={found.stage} on {found.split}, for {found.model}"]
    if not found.kept:
        lines.append("There is no question to train on: mend the records that are set aside below.")
    for said in found.refusals:
        lines += ["", _filled(f"THE TRAINING WOULD STOP: {said}")]
    for section in sections(found):
        lines += ["", *_section(section)]
    lines += ["", "FIRST QUESTIONS, in the order of the training"] if found.first else []
    if any(one.learned for one in found.first):
        lines.append("(| is the prompt, + is what is learned)")
    for one in found.first:
        lines += ["", *_question(one, ())]
    lines += ["", "STRANGEST QUESTIONS"] if found.strange else []
    for one, reasons in found.strange:
        lines += ["", *_question(one, reasons)]
    return "\n".join(lines)


def _section(section: Section) -> Iterator[str]:
    yield section.title.upper()
    if section.rows:
        yield from layout(section.head, section.rows, left=section.left)
    yield from map(_filled, section.notes)


def _filled(note: str) -> str:
    return fill(note, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _question(one: ReadQuestion, reasons: Sequence[str]) -> Iterator[str]:
    """Write one question as the model gets it, what it learns, and what else is to be known."""
    [sample] = one.batch.samples
    yield f"{sample.id}: " + ("; ".join(reasons) or f"{sample.answer_type} of {sample.source}")
    yield fill(f"  {size_words(one.sizes)}", WIDTH, subsequent_indent="  ")
    yield from (f"  {number}. {item.path}" for number, (item, _) in enumerate(one.media, start=1))
    yield from (f"  | {line}" for line in plain(one.prompt).splitlines())
    yield from (f"  + {line}" for line in plain(one.learned).splitlines())
    yield f"  right: {sample.named_answer}"


def plain(runs: Sequence[Run]) -> str:
    """Write tokens as text; a special token that is repeated stands once, with its number."""
    text = "".join(
        f"[{run.text} x{len(run.ids)}]" if run.kind != "text" and len(run.ids) > 1 else run.text
        for run in runs
    )
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} characters)"
