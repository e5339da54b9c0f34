"""The tables of a benchmark as plain text; what hides what a score rests on is not written."""

import math
from collections.abc import Mapping, Sequence

from auditing.tables import layout
from benchmarking.measures import POWER, Ablation, Comparison, Grounding, Line, Mean, Report
from report import Interval, percent, table

LEGEND = (
    "n: questions. Unparsed answers are wrong, and so are missing ones, whose questions could",
    "not be read or shown. Blind choices score: the first option, the longest one, and the",
    "checkpoint itself where it is shown text only.",
)
OFFICIAL = "official: by the publisher's rule, of as many questions as that counts."
CLEAN = "clean: of the questions that are left, by the rule that took the others out."
ORDERS = "all orders: right in every order of the options; scores are means over them."
MEANS = ("macro mean", "weighted mean")


def render(report: Report) -> str:
    """Write all tables, each score beside its number of questions, its interval, the shares that
    could not be read, and what blind choices score."""
    check_complete(report)
    familiar = [_comparison(each, several=bool(report.means)) for each in report.comparisons]
    plain = not report.means and not any(line.clean for line in report.lines)
    overview = _overview(report)
    parts = [*familiar, overview] if plain else [overview, *familiar]
    parts += [_ablations(report.ablations)] if report.ablations else []
    parts += [_groundings(report.groundings)] if report.groundings else []
    return "\n\n".join([report.heading, *parts, "\n".join(report.notes)]).rstrip()


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


def _comparison(found: Comparison, *, several: bool) -> str:
    """Show groups of questions, and what difference could have been found among all."""
    lines = [found.set] if several else []
    lines.append(table(found.rows))
    if found.smallest is None:
        return "\n".join(lines)
    chance = f"with {POWER:.0%} power"
    if math.isnan(found.smallest):
        lines.append("The two never differ, which says nothing of what could have been found.")
    elif math.isinf(found.smallest):
        lines.append(f"No true difference would have been found {chance}: too few questions.")
    else:
        lines.append(
            f"A true difference of {100 * found.smallest:.1f} points on all questions would have "
            f"been found {chance}, at this n, discordance and clustering."
        )
    return "\n".join(lines)


def _overview(report: Report) -> str:
    """Show every checkpoint on every set, a line each."""
    rules = [*dict.fromkeys(rule for line in report.lines for rule in line.clean)]
    officially = any(line.official is not None for line in report.lines)
    turned = any(line.all_orders is not None for line in report.lines)
    head = ["set", "checkpoint", "n", "score"]
    head += ["official"] * officially + ["all orders"] * turned
    head += [f"clean, {rule}" for rule in rules]
    head += ["unparsed", "missing", "first", "longest", "text only"]
    cells = [_line(line, rules, officially=officially, turned=turned) for line in report.lines]
    for mean in report.means:
        cells += _mean(mean, rules, width=len(head), skipped=officially + turned)
    legend = [*LEGEND, *[OFFICIAL] * officially, *[ORDERS] * turned, *[CLEAN] * bool(rules)]
    return "\n".join([*layout(head, cells, left=2), *legend])


def _line(line: Line, rules: Sequence[str], *, officially: bool, turned: bool) -> list[str]:
    cells = [line.set, line.checkpoint, str(line.score.n), percent(line.score)]
    cells += [_official(line)] * officially + [_share(line.all_orders)] * turned
    cells += [_clean(line.clean.get(rule)) for rule in rules]
    shares = (line.unparsed, line.missing, line.first_option, line.longest_option)
    blind = "not asked" if line.text_only is None else _share(line.text_only)
    return [*cells, *map(_share, shares), blind]


def _mean(mean: Mean, rules: Sequence[str], *, width: int, skipped: int) -> list[list[str]]:
    """Show a checkpoint over all sets: each set alike, and each question alike."""
    rows = []
    for place, (name, raw) in enumerate(zip(MEANS, (mean.macro, mean.weighted), strict=True)):
        cells = [name, mean.checkpoint, str(raw.n), percent(raw), *["-"] * skipped]
        cells += [_clean(mean.clean[rule][place] if rule in mean.clean else None) for rule in rules]
        rows.append([*cells, *["-"] * (width - len(cells))])
    return rows


def _official(line: Line) -> str:
    """Write the publisher's score, and of how many where that is not all."""
    if line.official is None:
        return "-"
    counted = int(line.official["counted"])
    return _share(line.official["score"]) + (f" of {counted}" if counted != line.score.n else "")


def _clean(interval: Interval | None) -> str:
    return "-" if interval is None else f"{percent(interval)} of {interval.n}"


def _share(share: float | None) -> str:
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f}"


def _ablations(found: Sequence[Ablation]) -> str:
    """Show what is left of scores when less is shown."""
    head = ["set", "shown", "checkpoint", "n", "full", "shown less", "full - shown less"]
    cells = [
        [
            each.set,
            each.setting,
            each.checkpoint,
            str(each.difference.n),
            percent(each.full),
            percent(each.left),
            percent(each.difference, sign="+"),
        ]
        for each in found
    ]
    note = "n: questions that lose something, but for their options, and could be shown both ways."
    return "\n".join([*layout(head, cells, left=3), note])


def _groundings(found: Sequence[Grounding]) -> str:
    """Show what hearing and seeing are worth, in points; the index is a share."""
    head = ["set", "checkpoint", "measure", "n", "points"]
    cells = [
        [each.set, each.checkpoint, each.measure, str(each.value.n), _points(each.value)]
        for each in found
    ]
    return "\n".join(layout(head, cells, left=3))


def _points(value: Interval) -> str:
    """Write a number with its interval; undefined where there is none."""
    return "undefined" if math.isnan(value.mean) else percent(value, sign="+")
