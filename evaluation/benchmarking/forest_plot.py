"""Plot arms: their scores, and their differences to one of them, with intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.benchmarking.arms import ArmRow, Comparison
from evaluation.statistics.intervals import Interval
from runtime.writing import whole
from untrusted.terminal import escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#E69F00")
"""Of the groups of questions; Okabe and Ito's, which color-blind people can tell apart."""

INCH = 0.5
"""Height of an arm."""


def draw(path: Path, tables: Mapping[str, Comparison]) -> None:
    """Write one picture, with a row for each table."""
    # Imported here, since it takes half a second. A bare figure needs no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    heights = [1.5 + INCH * len(table.rows) for table in tables.values()]
    figure = Figure(figsize=(12, sum(heights)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(tables), 2, squeeze=False, height_ratios=heights)
    for (name, table), (scores, differences) in zip(tables.items(), grid, strict=True):
        rows = table.rows
        _dots(scores, rows, [row.accuracy for row in rows], [row.accuracy_by_seed for row in rows])
        scores.set_title(escaped(name), fontsize=10, parse_math=False)
        scores.set_xlabel("accuracy in percent")
        _dots(differences, rows, [row.difference for row in rows], [row.by_seed for row in rows])
        differences.axvline(0, color="black", linewidth=0.8)
        differences.set_xlabel("difference in points; small: each seed")
        differences.set_title(f"minus {escaped(table.baseline)}", fontsize=10, parse_math=False)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=9, ncols=len(labels), loc="outside lower center")
    with whole(path) as file:
        figure.savefig(file, format="png")


def _dots(
    axes: "Axes",
    rows: Sequence[ArmRow],
    values: Sequence[Mapping[str, Interval]],
    by_seed: Sequence[Mapping[str, Sequence[float]]],
) -> None:
    """Plot a dot with its interval for each arm and group, and a small one for each seed."""
    groups = [*rows[0].accuracy]
    for place, own in enumerate(values):
        for number, group in enumerate(groups):
            if group not in own:
                continue
            value, color = own[group], COLORS[number]
            height = place + 0.3 * (number - (len(groups) - 1) / 2)
            seeds = [100 * each for each in by_seed[place][group]]
            axes.plot([100 * value.low, 100 * value.high], [height] * 2, color=color)
            axes.plot(seeds, [height] * len(seeds), "|", color="#444444", markersize=6)
            label = group if place == 0 else None
            axes.plot(100 * value.mean, height, "o", color=color, label=label)
    axes.set_yticks(range(len(rows)), [escaped(row.arm) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
