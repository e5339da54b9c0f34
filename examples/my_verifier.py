"""A verifier of one's own: a tempo need not be met to the beat."""

from collections.abc import Mapping

from datamodules.sample import Sample


def tempo(question: Sample, answer: str, facts: Mapping[str, str]) -> float | None:
    """Take a tempo within 4 percent for right, and half or twice of it for half right."""
    try:
        given = float(answer.lower().removesuffix("bpm"))
    except ValueError:
        return None  # no tempo at all
    right = float(question.answer)
    for factor, score in ((1, 1.0), (0.5, 0.5), (2, 0.5)):
        if abs(given - factor * right) <= 0.04 * factor * right:
            return score
    return 0.0
