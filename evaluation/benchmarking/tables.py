"""The tables of a benchmark as plain text; an incomplete score is refused."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from datamodules.sources.manifest_files import ENDINGS
from evaluation.benchmarking.report import POWER, Ablation, Comparison, Grounding, Report, ScoreRow
from evaluation.statistics.intervals import Interval
from evaluation.statistics.tables import comparison_table, layout, percent, percent_alone

WIDTH = 100
"""Characters of a line, unless a name needs more."""

LEGEND = (
    "n: questions. Unparsed answers are wrong, and so are missing ones, whose questions could",
    "not be read or shown. Blind choices score: the first option, the longest one, and the",
    "checkpoint itself where it is shown text only.",
)
OTHERWISE = {
    "official": "official: by the publisher's rule, of as many questions as that counts.",
    "macro F1": "macro F1: mean F1 of the options, which all questions share; no mean of scores.",
    "all orders": "all orders: right in every order of the options; scores are means over them.",
    "clean": "clean: of the questions that are left, by the rule that took the others out.",
}
MEANS = ("macro mean", "weighted mean")


def render(report: Report) -> str:
    """Write all tables: each score with its number of questions, interval, shares of unparsed and
    missing answers, and blind baselines."""
    check_complete(report)
    names, several = short_names([row.set for row in report.lines]), bool(report.means)
    comparisons = [
        _comparison(each, names[each.set] if several else None)
        for each in report.comparisons
        if not several or len(each.rows) > 1 or len(each.rows[0].scores) > 1
    ]
    plain = not several and not any(row.clean for row in report.lines)
    overview = [_overview(report, names), *_otherwise(report, names)]
    parts = [*comparisons, *overview] if plain else [*overview, *comparisons]
    parts += [_ablations(report.ablations, names)] if report.ablations else []
    parts += [_groundings(report.groundings, names)] if report.groundings else []
    heading, notes = (
        "\n".join(line for text in texts for line in folded(text))
        for texts in (report.heading.split("\n"), report.notes)
    )
    return "\n\n".join([heading, *parts, notes]).rstrip()


def short_names(sets: Sequence[str]) -> dict[str, str]:
    """Shorten sets to their file names, without directory and ending, where that is unique."""

    def bare(name: str) -> str:
        parts = map(Path, name.split("+"))
        return "+".join(str(p.with_suffix("") if p.suffix in ENDINGS else p) for p in parts)

    def stem(name: str) -> str:
        return "+".join(Path(part).name for part in bare(name).split("+"))

    known = dict.fromkeys(sets)
    shorter = [(short, Counter(map(short, known))) for short in (stem, bare)]
    return {
        name: next((short(name) for short, uses in shorter if uses[short(name)] == 1), name)
        for name in known
    }


def folded(text: str) -> list[str]:
    """Wrap a long line without breaking names."""
    return wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def check_complete(report: Report) -> None:
    """Raise where a score lacks what is needed to interpret it."""
    complete = {(row.set, row.checkpoint) for row in report.lines}
    used = {(each.set, name) for each in report.comparisons for name in each.rows[0].scores}
    used |= {(each.set, each.checkpoint) for each in report.ablations}
    used |= {(each.set, each.checkpoint) for each in report.groundings}
    lacking = dict.fromkeys(used - complete, "everything")
    for row in report.lines:
        needed: Mapping[str, bool] = {
            "questions": row.score.n > 0,
            "an interval": row.score.clusters < 2 or math.isfinite(row.score.low),
            "the unparsed share": math.isfinite(row.unparsed),
            "the missing share": math.isfinite(row.missing),
            "blind baselines": math.isfinite(row.first_option + row.longest_option),
        }
        for what, there in needed.items():
            if not there:
                lacking.setdefault((row.set, row.checkpoint), what)
    if lacking or not report.lines:
        (name, checkpoint), what = next(iter(lacking.items()), (("no set", "any"), "everything"))
        raise ValueError(
            f"the table of {name} lacks {what} of {checkpoint}, but a score is only shown beside "
            "its number of questions, its interval, the unparsed share and blind baselines: give "
            "the report a line that has them all."
        )


def _comparison(comparison: Comparison, name: str | None) -> str:
    """Write a comparison by groups, and the smallest difference that it would have found."""
    lines = [] if name is None else [name]
    lines.append(comparison_table(comparison.rows))
    smallest, differ = comparison.smallest, comparison.discordance or 0.0
    if smallest is None:
        return "\n".join(lines)
    chance = f"with {POWER:.0%} power"
    if math.isnan(smallest):
        note = "The two never differ, which says nothing of what could have been found."
    elif math.isinf(smallest):
        note = f"Too few questions: a true difference of 100 points would not be found {chance}."
    else:
        note = f"A true difference of {100 * smallest:.1f} points on all questions would have been "
        note += f"found {chance}, at this n"
        if smallest <= differ:
            note += ", discordance and clustering."
        else:
            note += f" and clustering. That takes a discordance above the {100 * differ:.1f}% "
            note += "found, all of it one way."
    return "\n".join([*lines, *folded(note)])


def _overview(report: Report, names: Mapping[str, str]) -> str:
    """Write the score of every checkpoint on every set."""
    head = ["set", "checkpoint", "n", "score", "unparsed", "missing", "first", "longest"]
    cells = []
    for row in report.lines:
        shares = (row.unparsed, row.missing, row.first_option, row.longest_option)
        blind = "not asked" if row.text_only is None else percent_alone(row.text_only)
        score = [names[row.set], row.checkpoint, str(row.score.n), percent(row.score)]
        cells.append([*score, *map(percent_alone, shares), blind])
    for mean in report.means:
        for name, raw in zip(MEANS, (mean.macro, mean.weighted), strict=True):
            cells.append([name, mean.checkpoint, str(raw.n), percent(raw), *["-"] * 5])
    caveats = {names[row.set]: row.score.caveat for row in report.lines if row.score.caveat}
    notes = [f"{name}: {caveat}." for name, caveat in caveats.items()]
    return "\n".join([*layout([*head, "text only"], cells, left=2), *LEGEND, *notes])


def _otherwise(report: Report, names: Mapping[str, str]) -> list[str]:
    """Write the scores by other ways of counting, where there are any."""
    cells = []
    for row in report.lines:
        for by, (n, score) in _ways(row).items():
            cells.append([names[row.set], row.checkpoint, by, str(n), percent(row.score), score])
    for mean in report.means:
        for rule, clean in mean.clean.items():
            for name, raw, kept in zip(MEANS, (mean.macro, mean.weighted), clean, strict=True):
                cell = [name, mean.checkpoint, f"clean, {rule}", str(kept.n), percent(raw)]
                cells.append([*cell, percent(kept)])
    if not cells:
        return []
    legend = [
        text for by, text in OTHERWISE.items() if any(cell[2].startswith(by) for cell in cells)
    ]
    head = ["set", "checkpoint", "by", "n", "score", "score by that"]
    return ["\n".join([*layout(head, cells, left=3), *legend])]


def _ways(row: ScoreRow) -> dict[str, tuple[int, str]]:
    """List the other ways of counting, each with its number of questions and score."""
    ways = {}
    if row.official is not None:
        counted = int(row.official["counted"])
        ways["official"] = (counted, percent_alone(row.official["score"] if counted else None))
    if row.macro_f1 is not None:
        ways["macro F1"] = (row.macro_f1.n, percent_alone(row.macro_f1.value))
    if row.all_orders is not None:
        ways["all orders"] = (row.score.n, percent_alone(row.all_orders))
    return ways | {f"clean, {rule}": (kept.n, percent(kept)) for rule, kept in row.clean.items()}


def _ablations(rows: Sequence[Ablation], names: Mapping[str, str]) -> str:
    """Write the scores under every condition beside full."""
    cells = []
    for (name, checkpoint), own in groupby(rows, lambda each: (each.set, each.checkpoint)):
        cells.append([f"{names[name]}, {checkpoint}", *[""] * 4])
        for each in own:
            scores = (percent(each.full), percent(each.left), percent(each.difference, sign="+"))
            cells.append([f"  {each.setting}", str(each.difference.n), *scores])
    head = ["shown", "n", "full", "shown less", "full - shown less"]
    note = "n: questions that lose something, but for their options, and could be shown both ways."
    return "\n".join([*layout(head, cells), note])


def _groundings(rows: Sequence[Grounding], names: Mapping[str, str]) -> str:
    """Write the grounding metrics, in points; the index is a share."""
    head = ["set", "checkpoint", "measure", "n", "points"]
    cells = [
        [names[each.set], each.checkpoint, each.measure, str(each.value.n), _points(each.value)]
        for each in rows
    ]
    return "\n".join(layout(head, cells, left=3))


def _points(value: Interval) -> str:
    """Write a number with its interval, or undefined."""
    return "undefined" if math.isnan(value.mean) else percent(value, sign="+")
