"""Plot the contribution of each modality, by group and by question."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.auditing.shapley import ShapleyResult
from evaluation.statistics.intervals import Interval
from runtime.writing import whole
from untrusted.terminal import escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colors, which color-blind people can tell apart.
COLORS = {"audio": "#0072B2", "visual": "#E69F00", "text": "#009E73", "synergy": "#CC79A7"}

BARS = 60
"""Bars that remain legible; of more groups the largest are drawn."""

GRID = 0.025
"""Questions whose shares round to the same multiple of this share a dot."""


def draw(
    path: Path,
    groups: Sequence[tuple[str, Mapping[str, Interval]]],
    result: ShapleyResult,
    *,
    title: str,
) -> None:
    """Write one picture of 1200 x 600 pixels.

    Args:
        groups: name of each, and the mean of each column.
    """
    # Imported here, since it takes half a second. A bare figure needs no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(12, 6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(escaped(title), fontsize=12, parse_math=False)
    bars, dots = figure.subplots(1, 2, width_ratios=(1, 1.05))
    _bars(bars, groups)
    _dots(figure, dots, result)
    with whole(path) as file:
        figure.savefig(file, format="png")


def _bars(axes: "Axes", groups: Sequence[tuple[str, Mapping[str, Interval]]]) -> None:
    """Plot the mean shares of each group with their intervals."""
    names = list(groups[0][1])
    fitting = max(1, BARS // len(names))
    largest = sorted(groups, key=lambda group: -group[1][names[0]].n)[:fitting]
    drawn = [group for group in groups if group in largest]
    height = 0.8 / len(names)
    for row, name in enumerate(names):
        intervals = [shares[name] for _, shares in drawn]
        means = np.array([interval.mean for interval in intervals])
        bounds = [(interval.low, interval.high) for interval in intervals]
        # No interval where a group is about a single asset.
        reach = np.nan_to_num(np.abs(np.array(bounds) - means[:, None]).T)
        axes.barh(
            np.arange(len(drawn)) + (row - (len(names) - 1) / 2) * height,
            100 * means,
            height,
            xerr=100 * reach,
            color=COLORS[name],
            label=name,
            error_kw={"elinewidth": 1, "capsize": 2},
        )
    # A name of the data may hold `$`, which would begin a formula.
    labels = [f"{escaped(name)}\n(n = {_n(shares)})" for name, shares in drawn]
    axes.set_yticks(range(len(drawn)), labels, parse_math=False)
    axes.tick_params(axis="y", labelsize=max(6, 10 - len(drawn) // 3))
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_xlabel("mean share (accuracy points)")
    left_out = f", the {len(drawn)} largest of {len(groups)} groups" if drawn != groups else ""
    axes.set_title(f"What each part adds{left_out}", fontsize=10)
    axes.legend(fontsize=9, ncols=len(names), loc="upper center", bbox_to_anchor=(0.5, -0.1))


def _n(shares: Mapping[str, Interval]) -> int:
    return next(iter(shares.values())).n


def _dots(figure: "Figure", axes: "Axes", result: ShapleyResult) -> None:
    """Plot questions by two of their shares; equal ones become one larger dot."""
    audio, visual, synergy = (
        result.estimates(name)[result.known] for name in ("audio", "visual", "synergy")
    )
    places = np.round(np.stack([audio, visual], axis=1) / GRID) * GRID
    spots, member, count = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    mean = np.bincount(member.ravel(), synergy) / count
    order = np.argsort(-count)  # small dots last, on top
    dots = axes.scatter(
        100 * spots[order, 0],
        100 * spots[order, 1],
        s=8 + 1200 * count[order] / max(1, count.sum()),
        c=100 * mean[order],
        cmap="PuOr",
        vmin=-100,
        vmax=100,
        edgecolors="#444444",
        linewidths=0.5,
    )
    axes.axhline(0, color="black", linewidth=0.6)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_xlim(-115, 115)
    axes.set_ylim(-115, 115)
    axes.set_xlabel("share of audio (accuracy points)")
    axes.set_ylabel("share of the visual (accuracy points)")
    axes.set_title(f"{len(audio)} questions; area of a dot: how many of them", fontsize=10)
    # It reaches from -200 to 200; beyond 100 it has the last color.
    label = "synergy of audio and visual (accuracy points)"
    figure.colorbar(dots, ax=axes, label=label, extend="both")
