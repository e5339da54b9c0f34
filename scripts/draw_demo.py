"""Draw the README's picture anew from the README's table: `python -m scripts.draw_demo`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from runtime.writing import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "demo.svg"

SCORE = r"([\d.]+) \[([\d.]+), ([\d.]+)\]"
NEEDS = {
    "audio": "the sound",
    "visual": "the picture",
    "both": "both",
    "either": "either of them",
    "text": "neither",
}
"""What the table calls the questions that need something, and what the picture says."""

Scores = dict[str, tuple[np.ndarray, np.ndarray]]
"""Before and after training, by row: score, lower and upper bound, in percent."""


def read_table(text: str) -> Scores:
    """Read the accuracy of both checkpoints by needed evidence."""
    pattern = rf"^ *(\w+) +\d+ +\d+ +{SCORE} +{SCORE}"
    found = re.findall(pattern, text, re.MULTILINE)
    numbers = {row[0]: np.array(row[1:], dtype=float) for row in found}
    return {name: (numbers[name][:3], numbers[name][3:]) for name in NEEDS}


def read_words_only(text: str) -> Scores:
    """Read the accuracy with media and by the words alone, of both checkpoints."""
    rows = re.findall(rf"^ +text_only +\d+ +{SCORE} +{SCORE}", text, re.MULTILINE)
    before, after = np.array(rows, dtype=float)
    return {"with media": (before[:3], after[:3]), "words only": (before[3:], after[3:])}


def draw_bars(axes: "Axes", scores: Scores, title: str) -> None:
    """Draw two bars for each row, before and after training, with their intervals."""
    for arm, (label, color) in enumerate((("before", "#9aa5b1"), ("after", "#0072B2"))):
        means, lows, highs = np.array([pair[arm] for pair in scores.values()]).T
        places = np.arange(len(scores)) + (arm - 0.5) * 0.38
        reach = [means - lows, highs - means]
        style = {"elinewidth": 1, "capsize": 2, "ecolor": "#444444"}
        axes.barh(places, means, 0.36, xerr=reach, color=color, label=label, error_kw=style)
        for place, mean, high in zip(places, means, highs, strict=True):
            axes.text(high + 1.5, place, f"{mean:.1f}", va="center", fontsize=9)
    axes.set_yticks(range(len(scores)), list(scores))
    axes.invert_yaxis()
    axes.set_xlim(0, 108)
    axes.set_xlabel("right answers in percent, 95% interval")
    axes.set_title(title, fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def draw(text: str, path: Path) -> None:
    """Write the picture of the tables in a text, 900 x 330 points."""
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "demo"}
    figure = Figure(figsize=(12.5, 4.6), layout="constrained")
    FigureCanvasSVG(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    needs = {NEEDS[name]: pair for name, pair in read_table(text).items()}
    draw_bars(left, needs, "Questions, by what is needed to answer them")
    draw_bars(right, read_words_only(text), "Questions with media, asked with them and without")
    left.legend(loc="lower right", title="training", frameon=False)
    with whole(path) as file:
        figure.savefig(file, format="svg", metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    draw(README.read_text(), PICTURE)
