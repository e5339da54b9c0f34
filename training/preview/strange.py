"""Find the strangest questions: those that are longest, have most media, or are of a rare kind."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median_low

from training.preview.counts import Entry

RARE = 0.1
"""Share of the questions below which a type of answer or a kind of media is rare."""


def find_strange(
    entries: Mapping[int, Entry], sizes: Mapping[int, Mapping[str, float]], count: int
) -> dict[int, list[str]]:
    """Find the places of so many strange questions, each with all that is strange about it.

    The rarest type of answer and kind of media come first, then the largest of every measure, then
    the second of each, and so on, as far as they are above the median.

    Args:
        entries: all questions by their places.
        sizes: what was measured of some of them.
    """
    if not entries:
        return {}
    walks = [
        _rare({place: entry.answer_type for place, entry in entries.items()}, "answer type"),
        _rare({place: entry.kind for place, entry in entries.items()}, "kind of media"),
    ]
    walks += [_extremes(measured, name) for name, measured in _measures(entries, sizes)]
    found: dict[int, list[str]] = {}
    while walks and len(found) < count:
        for walk in [*walks]:
            named = next(walk, None)
            if named is None:
                walks.remove(walk)
            elif named[0] in found or len(found) < count:
                found.setdefault(named[0], []).append(named[1])
    return found


def _measures(
    entries: Mapping[int, Entry], sizes: Mapping[int, Mapping[str, float]]
) -> Iterator[tuple[str, dict[int, float]]]:
    """List what questions are long or many of, by its name."""
    names = dict.fromkeys(name for one in sizes.values() for name in one)
    for name in names:
        yield name, {place: one[name] for place, one in sizes.items() if name in one}
    yield "media", {place: float(entry.media) for place, entry in entries.items()}
    yield "characters", {place: float(entry.characters) for place, entry in entries.items()}


def _extremes(measured: Mapping[int, float], name: str) -> Iterator[tuple[int, str]]:
    """Walk the questions with most of something down to the median."""
    middle = median_low(measured.values())
    for place, size in sorted(measured.items(), key=lambda item: (-item[1], item[0])):
        if size <= middle:
            return
        yield place, f"{round(size, 2):,.12g} {name} (median {round(middle, 2):,.12g})"


def _rare(kinds: Mapping[int, str], what: str) -> Iterator[tuple[int, str]]:
    """Walk the first question of each rare kind, the rarest first."""
    counts = Counter(kinds.values())
    first: dict[str, int] = {}
    for place, kind in kinds.items():
        first.setdefault(kind, place)
    for kind, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        if count >= RARE * len(kinds):
            return
        yield first[kind], f"{what} {kind}, of {count} in {len(kinds):,}"


def quantiles(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the least, the median, the 95th percentile and the most: all of them are values.

    Of n in order, a percentile p is the one at place ceil(p n).
    """
    ordered = sorted(values)
    at = (-(-len(ordered) * 95 // 100)) - 1
    return ordered[0], median_low(ordered), ordered[at], ordered[-1]
