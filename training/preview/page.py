"""Write a preview as one HTML page that needs no network: texts escaped, media inside it."""

from collections.abc import Iterator, Sequence

from training.preview.drawing import Space
from training.preview.findings import Findings, Section, sections, size_words
from training.preview.media_html import media_html, safe
from training.preview.reading import ReadQuestion, Run

LONGEST = 20_000
"""Most characters of a run of text, and most runs of a prompt."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
"""What a browser may load for the page: nothing but what is in it, and no script."""

KEY = (
    '<h2>How to read questions</h2><p>Special tokens look <span class="special">like this</span>, '
    'those of media <span class="media">like this</span>; repeated ones stand once, with their '
    "number.</p>"
)
LOSS = "<p>The loss is computed on <mark>what is marked</mark>, and on nothing else.</p>"

STYLE = """
:root { color-scheme: light dark; --soft: #8883; --special: #7c3aed; --media: #0369a1; }
@media (prefers-color-scheme: dark) { :root { --special: #c4b5fd; --media: #7dd3fc; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .15rem .8rem .15rem 0; text-align: right; border-bottom: 1px solid var(--soft); }
th.left, td.left { text-align: left; overflow-wrap: anywhere; }
article { border: 1px solid var(--soft); border-radius: .5rem; margin: 1rem 0; }
article { padding: .2rem 1rem .6rem; }
p { margin: .4rem 0; }
article h3 { margin: .6rem 0 0; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .6rem; }
pre, details { font-size: 13px; }
.special { color: var(--special); }
.media { color: var(--media); }
.refused { border-left: 4px solid #dc2626; padding-left: .6rem; }
.why { font-weight: 600; margin: 0; }
.quiet, .left-out, figcaption { opacity: .75; font-size: 13px; margin: 0; }
mark { background: #22c55e44; color: inherit; }
.sheet { display: flex; flex-wrap: wrap; gap: .4rem; align-items: end; }
figure { margin: 0; text-align: center; }
figure img { min-width: 84px; max-width: 100%; image-rendering: pixelated; }
.wave { width: 100%; height: 70px; }
.wave path { stroke: var(--media); stroke-width: 1; }
.mel { width: 100%; height: 70px; }
audio { width: 100%; height: 2.2rem; }
"""


def page(found: Findings, *, megabytes: float) -> str:
    """Write the page.

    Args:
        megabytes: most that pictures and sounds may take; texts are cut where they are very long.
    """
    space = Space(megabytes)
    title = safe(f"Preview of stage={found.stage} on {found.split}")
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{STYLE}</style></head><body>",
        f'<h1>{title}</h1><p class="quiet">as {safe(found.model)} is given them</p>',
        *(f'<p class="refused">The training would stop: {safe(x)}</p>' for x in found.refusals),
        *(part for section in sections(found) for part in _section(section)),
        KEY,
        *([LOSS] if any(one.learned for one in found.first) else []),
    ]
    parts += ["<h2>First, in the order of the training</h2>"] if found.first else []
    for one in found.first:
        parts += _question(one, (), space)
    parts += ["<h2>Strangest</h2>"] if found.strange else []
    for one, reasons in found.strange:
        parts += _question(one, reasons, space)
    return "".join([*parts, "</body></html>\n"])


def _section(section: Section) -> Iterator[str]:
    """Write a table and its notes."""
    yield f"<h2>{safe(section.title)}</h2>"
    if section.rows:
        yield f"<table>{_row('th', section.head, section.left)}"
        yield from (_row("td", row, section.left) for row in section.rows)
        yield "</table>"
    yield from (f"<p>{safe(note)}</p>" for note in section.notes)


def _row(tag: str, cells: Sequence[str], left: int) -> str:
    kinds = [' class="left"' if place < left else "" for place in range(len(cells))]
    written = (
        f"<{tag}{kind}>{safe(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"


def _question(one: ReadQuestion, reasons: Sequence[str], space: Space) -> Iterator[str]:
    """Write one question: why it is here, its tokens, its media."""
    [sample] = one.batch.samples
    yield f"<article><h3>{safe(sample.id)}</h3>"
    yield from (f'<p class="why">{safe(reason)}</p>' for reason in reasons)
    told = f"{sample.answer_type} of {sample.source}: {size_words(one.sizes)}"
    yield f'<p class="quiet">{safe(told)}</p>'
    learned = f"<mark>{_runs(one.learned)}</mark>" if one.learned else ""
    yield f"<pre>{_runs(one.prompt)}{learned}</pre>"
    sampled = "" if one.learned else "; the model samples its completion from here"
    yield f"<p>right: <b>{safe(sample.named_answer)}</b>{sampled}</p>"
    yield from media_html(one, space)
    for name, runs in one.views.items():
        yield f"<details><summary>view {safe(name)}</summary><pre>{_runs(runs)}</pre></details>"
    ids = f"{_ids(one.prompt)}{f' | {_ids(one.learned)}' if one.learned else ''}"
    yield f"<details><summary>token ids</summary><pre>{ids}</pre></details></article>"


def _runs(runs: Sequence[Run]) -> str:
    """Write tokens as text."""
    return "".join(map(_run, runs[:LONGEST]))


def _run(run: Run) -> str:
    if run.kind == "text":
        cut = f"... ({len(run.text):,} characters)" if len(run.text) > LONGEST else ""
        return safe(run.text[:LONGEST] + cut)
    count = f"&times;{len(run.ids)}" if len(run.ids) > 1 else ""
    return f'<span class="{run.kind}">{safe(run.text)}{count}</span>'


def _ids(runs: Sequence[Run]) -> str:
    """Write token ids; one that is repeated stands once, with its number."""
    words = [
        f"{run.ids[0]}&times;{len(run.ids)}"
        if run.kind != "text" and len(run.ids) > 1
        else " ".join(map(str, run.ids[:LONGEST]))
        for run in runs[:LONGEST]
    ]
    return " ".join(words)
