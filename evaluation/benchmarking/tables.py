"""The tables of a benchmark as plain text; what hides what a score rests on is not written."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from datamodules.sources.row_files import ENDINGS
from evaluation.auditing.tables import layout
from evaluation.benchmarking.metrics import POWER, Ablation, Comparison, Grounding, Line, Report
from evaluation.statistics.intervals import Interval, percent, table

WIDTH = 100
"""Columns that a line has, unless a name needs more."""

LEGEND = (
    "n: questions. Unparsed answers are wrong, and so are missing ones, whose questions could",
    "not be read or shown. Blind choices score: the first option, the longest one, and the",
    "checkpoint itself where it is shown text only.",
)
OTHERWISE = {
    "official": "official: by the publisher's rule, of as many questions as that counts.",
    "all orders": "all orders: right in every order of the options; scores are means over them.",
    "clean": "clean: of the questions that are left, by the rule that took the others out.",
}
MEANS = ("macro mean", "weighted mean")


def render(report: Report) -> str:
    """Write all tables, each score beside its number of questions, its interval, the shares that
    could not be read, and what blind choices score."""
    check_complete(report)
    names, several = short_names([line.set for line in report.lines]), bool(report.means)
    familiar = [
        _comparison(each, names[each.set] if several else None)
        for each in report.comparisons
        if not several or len(each.rows) > 1 or len(each.rows[0].scores) > 1
    ]
    plain = not several and not any(line.clean for line in report.lines)
    overview = [_overview(report, names), *_otherwise(report, names)]
    parts = [*familiar, *overview] if plain else [*overview, *familiar]
    parts += [_ablations(report.ablations, names)] if report.ablations else []
    parts += [_groundings(report.groundings, names)] if report.groundings else []
    heading, notes = (
        "\n".join(line for text in texts for line in folded(text))
        for texts in (report.heading.split("\n"), report.notes)
    )
    return "\n\n".join([heading, *parts, notes]).rstrip()


def short_names(sets: Sequence[str]) -> dict[str, str]:
    """Call sets by their files alone, without directory and ending, where that tells them apart."""

    def bare(name: str) -> str:
        parts = map(Path, name.split("+"))
        return "+".join(str(one.with_suffix("") if one.suffix in ENDINGS else one) for one in parts)

    def stem(name: str) -> str:
        return "+".join(Path(part).name for part in bare(name).split("+"))

    known = dict.fromkeys(sets)
    shorter = [(short, Counter(map(short, known))) for short in (stem, bare)]
    return {
        name: next((short(name) for short, seen in shorter if seen[short(name)] == 1), name)
        for name in known
    }


def folded(text: str) -> list[str]:
    """Break a line that is too long, but no name."""
    return wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def check_complete(report: Report) -> None:
    """Refuse to show a score without what it needs to be read."""
    told = {(line.set, line.checkpoint) for line in report.lines}
    shown = {(each.set, name) for each in report.comparisons for name in each.rows[0].scores}
    shown |= {(each.set, each.checkpoint) for each in report.ablations}
    shown |= {(each.set, each.checkpoint) for each in report.groundings}
    lacking = dict.fromkeys(shown - told, "everything")
    for line in report.lines:
        needed: Mapping[str, bool] = {
            "questions": line.score.n > 0,
            "an interval": line.score.clusters < 2 or math.isfinite(line.score.low),
            "the unparsed share": math.isfinite(line.unparsed),
            "the missing share": math.isfinite(line.missing),
            "blind baselines": math.isfinite(line.first_option + line.longest_option),
        }
        for what, there in needed.items():
            if not there:
                lacking.setdefault((line.set, line.checkpoint), what)
    if lacking or not report.lines:
        (name, checkpoint), what = next(iter(lacking.items()), (("no set", "any"), "everything"))
        raise ValueError(
            f"the table of {name} lacks {what} of {checkpoint}, but a score is only shown beside "
            "its number of questions, its interval, the unparsed share and blind baselines: give "
            "the report a line that has them all."
        )


def _comparison(found: Comparison, name: str | None) -> str:
    """Show groups of questions, and what difference could have been found among all."""
    lines = [] if name is None else [name]
    lines.append(table(found.rows))
    smallest, differ = found.smallest, found.discordance or 0.0
    if smallest is None:
        return "\n".join(lines)
    chance = f"with {POWER:.0%} power"
    if math.isnan(smallest):
        told = "The two never differ, which says nothing of what could have been found."
    elif math.isinf(smallest):
        told = f"Too few questions: a true difference of 100 points would not be found {chance}."
    else:
        told = f"A true difference of {100 * smallest:.1f} points on all questions would have been "
        told += f"found {chance}, at this n"
        if smallest <= differ:
            told += ", discordance and clustering."
        else:
            told += f" and clustering. That takes a discordance above the {100 * differ:.1f}% "
            told += "found, all of it one way."
    return "\n".join([*lines, *folded(told)])


def _overview(report: Report, names: Mapping[str, str]) -> str:
    """Show every checkpoint on every set, a line each."""
    head = ["set", "checkpoint", "n", "score", "unparsed", "missing", "first", "longest"]
    cells = []
    for line in report.lines:
        shares = (line.unparsed, line.missing, line.first_option, line.longest_option)
        blind = "not asked" if line.text_only is None else _share(line.text_only)
        row = [names[line.set], line.checkpoint, str(line.score.n), percent(line.score)]
        cells.append([*row, *map(_share, shares), blind])
    for mean in report.means:
        for name, raw in zip(MEANS, (mean.macro, mean.weighted), strict=True):
            cells.append([name, mean.checkpoint, str(raw.n), percent(raw), *["-"] * 5])
    return "\n".join([*layout([*head, "text only"], cells, left=2), *LEGEND])


def _otherwise(report: Report, names: Mapping[str, str]) -> list[str]:
    """Show what else each score would be, where there is more than one way to count it."""
    cells = []
    for line in report.lines:
        for by, (n, score) in _ways(line).items():
            cells.append([names[line.set], line.checkpoint, by, str(n), percent(line.score), score])
    for mean in report.means:
        for rule, clean in mean.clean.items():
            for name, raw, left in zip(MEANS, (mean.macro, mean.weighted), clean, strict=True):
                row = [name, mean.checkpoint, f"clean, {rule}", str(left.n), percent(raw)]
                cells.append([*row, percent(left)])
    if not cells:
        return []
    legend = [text for by, text in OTHERWISE.items() if any(row[2].startswith(by) for row in cells)]
    head = ["set", "checkpoint", "by", "n", "score", "score by that"]
    return ["\n".join([*layout(head, cells, left=3), *legend])]


def _ways(line: Line) -> dict[str, tuple[int, str]]:
    """List the ways to count, each with its number of questions and its score."""
    ways = {}
    if line.official is not None:
        counted = int(line.official["counted"])
        ways["official"] = (counted, _share(line.official["score"] if counted else None))
    if line.all_orders is not None:
        ways["all orders"] = (line.score.n, _share(line.all_orders))
    return ways | {f"clean, {rule}": (one.n, percent(one)) for rule, one in line.clean.items()}


def _share(share: float | None) -> str:
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f}"


def _ablations(found: Sequence[Ablation], names: Mapping[str, str]) -> str:
    """Show what is left of scores when less is shown."""
    cells = []
    for (name, checkpoint), own in groupby(found, lambda each: (each.set, each.checkpoint)):
        cells.append([f"{names[name]}, {checkpoint}", *[""] * 4])
        for each in own:
            scores = (percent(each.full), percent(each.left), percent(each.difference, sign="+"))
            cells.append([f"  {each.setting}", str(each.difference.n), *scores])
    head = ["shown", "n", "full", "shown less", "full - shown less"]
    note = "n: questions that lose something, but for their options, and could be shown both ways."
    return "\n".join([*layout(head, cells), note])


def _groundings(found: Sequence[Grounding], names: Mapping[str, str]) -> str:
    """Show what hearing and seeing are worth, in points; the index is a share."""
    head = ["set", "checkpoint", "measure", "n", "points"]
    cells = [
        [names[each.set], each.checkpoint, each.measure, str(each.value.n), _points(each.value)]
        for each in found
    ]
    return "\n".join(layout(head, cells, left=3))


def _points(value: Interval) -> str:
    """Write a number with its interval; undefined where there is none."""
    return "undefined" if math.isnan(value.mean) else percent(value, sign="+")
