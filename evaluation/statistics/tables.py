"""Tables as plain text: aligned columns, and shares with their intervals in percent."""

import math
from collections.abc import Sequence

from evaluation.statistics.intervals import Interval
from evaluation.statistics.significance import ComparisonRow


def layout(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Align columns, the first `left` of them to the left; a rule stands below the head."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]]


def percent(interval: Interval, *, digits: int = 1, sign: str = "", comma: str = ", ") -> str:
    """Write a share or a difference of shares with its interval in percent; a dash without one."""
    if math.isnan(interval.mean):
        return "-"
    bounds = [f"{bound:{sign}.{digits}f}" for bound in percent_bounds(interval, digits)]
    return f"{100 * interval.mean:{sign}.{digits}f} [{comma.join(bounds) or '-'}]"


def percent_bounds(interval: Interval, digits: int = 1) -> tuple[float, ...]:
    """Round the bounds of an interval in percent outwards, so that it keeps a width and all that it
    holds; none where there is no interval."""
    if math.isnan(interval.low):
        return ()
    scale, slack = 10**digits, 1e-6
    low, high = (100 * scale * bound for bound in (interval.low, interval.high))
    return math.floor(low + slack) / scale, math.ceil(high - slack) / scale


def percent_alone(share: float | None) -> str:
    """Write a share in percent; a dash where it is not known."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f}"


def p_text(p: float | None) -> str:
    """Write a p-value; a dash where there is none."""
    if p is None or math.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def comparison_table(rows: Sequence[ComparisonRow]) -> str:
    """Write the scores of models by group of questions; a dash where a number has no meaning."""
    if not rows:
        return "There is nothing to compare: no group of questions was given."
    names = list(rows[0].scores)
    paired = any(row.difference is not None for row in rows)
    head = ["questions", "n", "clusters", *names, *(["difference", "p"] if paired else [])]
    cells, notes = [], []
    for row in rows:
        score = row.scores[names[0]]
        line = [row.questions, str(score.n), str(score.clusters)]
        line += [percent(row.scores[name]) for name in names]
        if paired:
            line.append("-" if row.difference is None else percent(row.difference, sign="+"))
            line.append(p_text(row.p))
        cells.append(line)
        if score.caveat:
            notes.append(f"{row.questions.strip()}: {score.caveat}.")
    return "\n".join([*layout(head, cells), *notes])
