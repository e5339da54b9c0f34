"""How often intervals hold the truth, and how wide they are: `python -m bench.coverage`.

Answers are drawn whose true mean is known, from two questions up to two hundred, about clusters of
one to ten, with chances near 0 and 1 and between, and correlated within clusters in two ways:
`spread`, where each cluster has chances of its own (Dirichlet), and `copied`, where a question
repeats the answer of its cluster or has its own. Cells that held the truth most seldom are drawn
anew, and more often, so that none is named for its bad luck alone.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import beta, binom

from evaluation.statistics.intervals import (
    DIFFERENCE,
    SHARE,
    Interval,
    combined,
    crossed_interval,
    mean_interval,
)
from evaluation.statistics.tables import layout

CONFIDENCE = 0.95
QUESTIONS = (2, 3, 5, 10, 20, 50, 100, 200)
SIZES: tuple[tuple[int, ...], ...] = ((1,), (2,), (5,), (10,), (1, 10, 3, 6))
"""Questions of one cluster after the other, from the beginning again."""

CORRELATED = ((0.0, "spread"), *product((0.1, 0.3, 0.6), ("spread", "copied")), (1.0, "copied"))
SHARES = (0.02, 0.05, 0.2, 0.5, 0.9, 0.95, 0.98)
DIFFERENCES = (
    *((0.5, 0.5), (0.25, 0.25), (0.1, 0.05), (0.02, 0.02)),
    *((0.05, 0.0), (0.3, 0.0), (0.9, 0.0)),
)
"""How often one model alone is right, and how often the other alone."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Answers with one known mean."""

    kind: str
    name: str
    n: int
    clusters: int
    truth: float
    single: float
    """Width of the interval of as many single questions: exact (Clopper and Pearson) of a share,
    else the normal one for the true variance."""

    draw: Callable[[np.random.Generator, int], Iterator[Interval]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The intervals of one cell."""

    cell: Cell
    held: float
    width: float
    repeats: int

    @property
    def error(self) -> float:
        """Standard error of `held` by the number of draws."""
        return float(np.sqrt(self.held * (1 - self.held) / self.repeats))


def clusters_of(n: int, sizes: Sequence[int]) -> NDArray[np.intp]:
    """Number the cluster of each question."""
    counts = np.resize(sizes, n)
    return np.repeat(np.arange(n), counts)[:n]


def draw_answers(
    rng: np.random.Generator,
    chances: Mapping[float, float],
    member: NDArray[np.intp],
    correlation: float,
    way: str,
    repeats: int,
) -> Floats:
    """Draw results by their chances, correlated within clusters. Shapes: -> (repeats, n)"""
    values, p = np.array([*chances]), np.array([*chances.values()])
    shape, clusters = (repeats, len(member)), member[-1] + 1
    if way == "copied":
        own = rng.choice(values, p=p, size=shape)
        common = rng.choice(values, p=p, size=(repeats, clusters))[:, member]
        copied: Floats = np.where(rng.random(shape) < np.sqrt(correlation), common, own)
        return copied
    if not correlation:
        alone: Floats = rng.choice(values, p=p, size=shape)
        return alone
    spread = np.maximum(p * (1 - correlation) / correlation, 1e-12)
    shares = np.maximum(rng.standard_gamma(spread, size=(repeats, clusters, len(p))), 1e-300)
    limits = (shares / shares.sum(axis=-1, keepdims=True)).cumsum(axis=-1)[:, member]
    chosen = (rng.random(shape)[..., None] > limits[..., :-1]).sum(axis=-1)
    drawn: Floats = values[chosen]
    return drawn


def exact_width(n: int, chance: float) -> float:
    """Average the width of Clopper and Pearson's interval over what n questions may give."""
    right = np.arange(n + 1)
    tail = (1 - CONFIDENCE) / 2
    low = np.where(right > 0, beta.ppf(tail, right, n - right + 1), 0.0)
    high = np.where(right < n, beta.ppf(1 - tail, right + 1, n - right), 1.0)
    return float(binom.pmf(right, n, chance) @ (high - low))


def mean_cells(kind: str) -> Iterator[Cell]:
    """List cells of shares, or of paired differences."""
    share = kind == "share"
    chosen = [{1.0: p, 0.0: 1 - p} for p in SHARES]
    if not share:
        chosen = [{1.0: b, -1.0: c, 0.0: 1 - b - c} for b, c in DIFFERENCES]
    for n, sizes, chances, (correlation, way) in product(QUESTIONS, SIZES, chosen, CORRELATED):
        member = clusters_of(n, sizes)
        if member[-1] == 0 or (correlation and (sizes == (1,) or member[-1] == n - 1)):
            continue
        truth = sum(value * p for value, p in chances.items())
        variance = sum(value**2 * p for value, p in chances.items()) - truth**2

        def draw(
            rng: np.random.Generator,
            repeats: int,
            member: NDArray[np.intp] = member,
            chances: Mapping[float, float] = chances,
            how: tuple[float, str] = (correlation, way),
        ) -> Iterator[Interval]:
            names = member.astype(np.str_)
            reach = SHARE if share else DIFFERENCE
            for values in draw_answers(rng, chances, member, *how, repeats):
                yield mean_interval(values, names, confidence=CONFIDENCE, reach=reach)

        given = [f"{p:g}" for value, p in chances.items() if value]
        yield Cell(
            kind=kind,
            name=f"{'/'.join(given)}, sizes {'/'.join(map(str, sizes))}, r {correlation:g} {way}",
            n=n,
            clusters=int(member[-1]) + 1,
            truth=truth,
            single=exact_width(n, truth) if share else 3.92 * float(np.sqrt(variance / n)),
            draw=draw,
        )


def seed_cells() -> Iterator[Cell]:
    """List cells of two arms with several seeds: right answers by a probit with effects of the
    question, of the seed, and of the arm on the question."""
    levels = ((0.0, 0.0), (0.5, 0.2), (2.0, 1.8))
    for seeds, n, (first, second), effect in product(
        (1, 2, 3, 5), (6, 20, 100, 200), levels, (0.0, 0.05, 0.2, 0.5)
    ):
        if seeds == 1 and effect:
            continue  # the chance of seeds, of which one seed knows nothing
        scale = np.sqrt(1 + 1 + 0.3**2 + effect**2)

        def draw(
            rng: np.random.Generator,
            repeats: int,
            at: tuple[int, int] = (seeds, n),
            means: tuple[float, float] = (first, second),
            effect: float = effect,
        ) -> Iterator[Interval]:
            names = np.arange(at[1]).astype(np.str_)
            for _ in range(repeats):
                question = rng.standard_normal(at[1])
                right = [
                    rng.standard_normal(at)
                    < mean
                    + question
                    + 0.3 * rng.standard_normal(at[1])
                    + effect * rng.standard_normal((at[0], 1))
                    for mean in means
                ]
                values = right[0].astype(float) - right[1]
                yield crossed_interval(values, names, confidence=CONFIDENCE)

        truth = float(ndtr(first / scale) - ndtr(second / scale))
        name = f"{seeds} seeds of effect {effect:g}, levels {first:g}/{second:g}"
        rng = np.random.default_rng(0)
        middle = [found.mean for found in draw(rng, 400)]
        yield Cell(
            kind="seeds",
            name=name,
            n=n,
            clusters=n,
            truth=truth,
            single=3.92 * float(np.std(middle)),
            draw=draw,
        )


def set_cells() -> Iterator[Cell]:
    """List cells of means over sets, weighed alike or by their questions."""
    kinds = ((0.5, 0.5, 0.5), (0.95, 0.5, 0.8), (0.98, 0.98, 0.98))
    for sizes, shares, weighted in product(((5, 5, 5), (10, 40, 160)), kinds, (False, True)):
        weights = sizes if weighted else (1, 1, 1)

        def draw(
            rng: np.random.Generator,
            repeats: int,
            sizes: tuple[int, ...] = sizes,
            shares: tuple[float, ...] = shares,
            weights: tuple[int, ...] = weights,
        ) -> Iterator[Interval]:
            for _ in range(repeats):
                each = [
                    mean_interval(
                        rng.random(n) < share, np.arange(n).astype(np.str_), confidence=CONFIDENCE
                    )
                    for n, share in zip(sizes, shares, strict=True)
                ]
                yield combined(each, weights)

        errors = [w**2 * p * (1 - p) / n for w, p, n in zip(weights, shares, sizes, strict=True)]
        yield Cell(
            kind="sets",
            name=f"{'/'.join(map(str, shares))}, {'weighted' if weighted else 'macro'}",
            n=sum(sizes),
            clusters=sum(sizes),
            truth=float(np.average(shares, weights=weights)),
            single=3.92 * float(np.sqrt(sum(errors))) / sum(weights),
            draw=draw,
        )


def measure(cell: Cell, repeats: int, seed: int) -> Found:
    """Count how many intervals of a cell hold its mean; the width is of those in the table."""
    found = [*cell.draw(np.random.default_rng(seed), repeats)]
    assert all(each.low < each.high for each in found), cell.name
    held = sum(each.low - 1e-12 <= cell.truth <= each.high + 1e-12 for each in found)
    width = float(np.mean([each.high - each.low for each in found]))
    return Found(cell=cell, held=held / repeats, width=width, repeats=repeats)


def lines_of(found: Sequence[Found]) -> list[str]:
    """Lay out cells as a table."""
    head = ["cell", "n", "clusters", "held", "+-", "width", "of single ones"]
    rows = [
        [
            f"{each.cell.kind} {each.cell.name}",
            str(each.cell.n),
            str(each.cell.clusters),
            f"{100 * each.held:.1f}%",
            f"{100 * each.error:.1f}",
            f"{100 * each.width:.1f}",
            f"x {each.width / each.cell.single:.2f}",
        ]
        for each in found
    ]
    return layout(head, rows)


def main() -> None:
    """Print the worst cells of each kind, and the widths of some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400, help="draws of each cell")
    parser.add_argument("--worst", type=int, default=8, help="cells of each kind drawn anew")
    given = parser.parse_args()
    kinds = {
        "share": [*mean_cells("share")],
        "difference": [*mean_cells("difference")],
        "seeds": [*seed_cells()],
        "sets": [*set_cells()],
    }
    all_found = []
    for kind, cells in kinds.items():
        found = sorted(
            (measure(cell, given.repeats, seed) for seed, cell in enumerate(cells)),
            key=lambda each: each.held,
        )
        again = [measure(each.cell, 20 * given.repeats, 12345) for each in found[: given.worst]]
        middle = float(np.median([each.held for each in found]))
        print(f"{kind}: {len(cells)} cells, median {middle:.1%}; the worst, drawn anew:")
        print("\n".join(lines_of(sorted(again, key=lambda each: each.held))), end="\n\n")
        all_found += found
    shown = ("0.5, ", "0.95, ", "0.1/0.05, ")
    some = [
        each
        for each in all_found
        if each.cell.n in (2, 10, 50, 200)
        and each.cell.name.startswith(shown)
        and each.cell.name.endswith(("r 0 spread", "r 0.3 spread"))
    ]
    print("widths, also as multiples of what single questions of the same number would give:")
    print("\n".join(lines_of(sorted(some, key=lambda each: (each.cell.kind, each.cell.name)))))


if __name__ == "__main__":
    main()
