"""Partial credit for a wrong answer: ROUGE, word error rate and F1 of sets, in plain Python.

Callers normalize words. Where order counts, only the first `MAX_WORDS` are compared, and words
beyond them count as wrong, so that a long completion gains nothing.
"""

from collections import Counter
from collections.abc import Sequence, Set
from itertools import pairwise

MAX_WORDS = 1_024
"""Words of either text that are aligned, at most."""


def rouge(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """Average the F1 of ROUGE-1, ROUGE-2 and ROUGE-L: shared words, pairs, and their order.

    A text of one word has no pairs, so that its ROUGE-2 is 0, as it is in other implementations.
    """
    total = len(prediction) + len(reference)
    if not prediction or not reference:
        return 0.0
    pairs = [Counter(pairwise(words)) for words in (prediction, reference)]
    shared = (Counter(prediction) & Counter(reference)).total()
    shared_pairs = (pairs[0] & pairs[1]).total()
    ordered = _common_subsequence(prediction[:MAX_WORDS], reference[:MAX_WORDS])
    return (
        2 * shared / total
        + (2 * shared_pairs / (total - 2) if shared_pairs else 0.0)
        + 2 * ordered / total
    ) / 3


def word_error_rate(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """Count the words to change, add or remove, per word of the reference; may exceed 1.

    Not by torchmetrics, with which it agrees: that needs torch, which no verifier does, and time in
    the product of both lengths, with which a policy could make its own reward slow.
    """
    if not reference:
        return float(bool(prediction))
    beyond = max(0, len(prediction) - MAX_WORDS, len(reference) - MAX_WORDS)
    changes = _edit_distance(prediction[:MAX_WORDS], reference[:MAX_WORDS])
    return (changes + beyond) / len(reference)


def set_f1(prediction: Set[str], reference: Set[str]) -> float:
    """F1 of two sets: 2 |both| / (|prediction| + |reference|)."""
    total = len(prediction) + len(reference)
    return 2 * len(prediction & reference) / total if total else 0.0


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Count the longest common subsequence, one bit per word of `second` (Hyyrö, 2004).

    A bit is cleared where the subsequence grows by that word; additions carry it along.
    """
    places, everything = _places(second), (1 << len(second)) - 1
    rest = everything
    for word in first:
        met = rest & places.get(word, 0)
        rest = (rest + met | rest - met) & everything
    return len(second) - rest.bit_count()


def _edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Count the words to change, add or remove, one bit per word of `second` (Myers, 1999).

    A column of the table of distances is kept as its steps: where it rises by one, and where it
    falls. The distance follows the last row as `first` is read.
    """
    places, everything = _places(second), (1 << len(second)) - 1
    rising, falling, distance = everything, 0, len(second)
    for word in first:
        same = places.get(word, 0)
        level = ((same & rising) + rising ^ rising) | same | falling
        up = falling | ~(level | rising) & everything
        down = rising & level
        distance += (up >> len(second) - 1) - (down >> len(second) - 1)
        up, down = (up << 1 | 1) & everything, down << 1 & everything
        rising = down | ~(same | falling | up) & everything
        falling = up & (same | falling)
    return distance


def _places(words: Sequence[str]) -> dict[str, int]:
    """Positions of each word, as bits."""
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << place
    return places
