"""Blind baselines: always the first option, always the longest one."""

from datamodules.sample import LETTERS, Sample


def first_option(sample: Sample) -> float:
    """Score of always choosing A; 0 for open questions."""
    return float(bool(sample.options) and _right(sample, 0))


def longest_option(sample: Sample) -> float:
    """Score of choosing the option with the most characters; the mean over ties.

    Options that are media have no text to compare, so that this is guessing.
    """
    longest = max(map(len, sample.options), default=0)
    picked = [place for place, text in enumerate(sample.options) if len(text) == longest]
    return sum(_right(sample, place) for place in picked) / max(1, len(picked))


def _right(sample: Sample, place: int) -> bool:
    """Tell whether the option at a place is the answer, by its letter or as a set of one."""
    if sample.answer_type == "choice":
        return LETTERS[place] in sample.right
    return sample.answer_type == "set" and sample.answer in (LETTERS[place], sample.options[place])
