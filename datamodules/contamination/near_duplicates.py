"""Find near-duplicate questions exactly, without comparing all pairs.

Similarity is the Jaccard index of word 3-grams. With grams ordered from rare to common, two sets
can only be similar to a share t if their rarest |x| - ceil(t |x|) + 1 grams have one in common, and
if enough follow it in both (Xiao et al. 2008, PPJoin). Grams that no test question has are the
rarest of all, so most of a large training set is excluded before any comparison.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from math import ceil

WORD = re.compile(r"\w+")

SLACK = 1e-9
"""Keeps 0.8 * 15 from being more than 12."""

Gram = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NearDuplicate:
    """Two questions of nearly the same wording, by their places."""

    test: int
    train: int
    similarity: float


@dataclass(frozen=True, kw_only=True)
class Wording:
    """The grams of one training question, as far as test questions have them too."""

    place: int
    grams: frozenset[int]
    size: int
    """Grams in all."""


def grams(text: str) -> frozenset[Gram]:
    """Collect the word 3-grams within each line; a shorter line is one gram."""
    lines = (tuple(WORD.findall(line)) for line in text.casefold().splitlines())
    return frozenset(
        line[start : start + 3] for line in lines if line for start in range(max(1, len(line) - 2))
    )


def near_duplicates(
    train: Iterable[str], test: Sequence[str], threshold: float = 0.8
) -> list[NearDuplicate]:
    """List the test questions with a near-duplicate in training, with the first such.

    Options count best as lines of their own, so that their order does not matter.

    Args:
        threshold: Jaccard similarity from which two are near-duplicates, above 0.
    """
    asked = [grams(text) for text in test]
    numbers: dict[Gram, int] = {}
    for one in asked:
        for gram in one:
            numbers.setdefault(gram, len(numbers))
    wordings = _candidates(train, numbers, threshold)
    index = _Index(wordings, len(numbers), threshold)
    known: dict[frozenset[Gram], tuple[int, float] | None] = {}
    for one in asked:
        if one not in known:
            known[one] = index.first([numbers[gram] for gram in one])
    found = ((place, known[one]) for place, one in enumerate(asked))
    return [
        NearDuplicate(test=place, train=pair[0], similarity=pair[1])
        for place, pair in found
        if pair
    ]


def _candidates(train: Iterable[str], numbers: dict[Gram, int], threshold: float) -> list[Wording]:
    """Read the training questions that could be similar to a test question, each wording once."""
    kept: dict[tuple[frozenset[int], int], Wording] = {}
    for place, text in enumerate(train):
        all_grams = grams(text)
        size = len(all_grams)
        shared = frozenset(numbers[gram] for gram in all_grams if gram in numbers)
        if size and len(shared) >= ceil(threshold * size - SLACK):
            kept.setdefault((shared, size), Wording(place=place, grams=shared, size=size))
    return list(kept.values())


class _Index:
    """Training questions by the grams of which two similar ones must share one."""

    def __init__(self, wordings: Sequence[Wording], vocabulary: int, threshold: float) -> None:
        self.wordings = wordings
        self.threshold = threshold
        count = Counter(gram for one in wordings for gram in one.grams)
        order = sorted(range(vocabulary), key=lambda gram: (count[gram], gram))
        self.rank = [0] * vocabulary
        for rank, gram in enumerate(order):
            self.rank[gram] = rank
        self.postings: dict[int, dict[tuple[int, int], list[int]]] = {}
        for number, one in enumerate(wordings):
            unshared = one.size - len(one.grams)  # the rarest: no test question has them
            ranked = sorted(self.rank[gram] for gram in one.grams)
            for position, gram in enumerate(ranked[: self._prefix(one.size) - unshared], unshared):
                places = self.postings.setdefault(gram, {})
                places.setdefault((one.size, position), []).append(number)

    def _prefix(self, size: int) -> int:
        return size - ceil(self.threshold * size - SLACK) + 1

    def first(self, asked: Sequence[int]) -> tuple[int, float] | None:
        """Find the first near-duplicate in training, and its similarity."""
        size, grams_asked = len(asked), frozenset(asked)
        ranked = sorted(self.rank[gram] for gram in asked)
        lists = [
            numbers
            for position, gram in enumerate(ranked[: self._prefix(size)] if asked else [])
            for (other, behind), numbers in self.postings.get(gram, {}).items()
            if min(size - position, other - behind) >= self._needed(size + other)
        ]
        for number, _ in groupby(merge(*lists)):
            one = self.wordings[number]
            shared = len(grams_asked & one.grams)
            similarity = shared / (size + one.size - shared)
            if similarity >= self.threshold:
                return one.place, similarity
        return None

    def _needed(self, sizes: int) -> int:
        """Grams that two sets must share, by the sum of their sizes, to be near-duplicates."""
        return ceil(self.threshold / (1 + self.threshold) * sizes - SLACK)
