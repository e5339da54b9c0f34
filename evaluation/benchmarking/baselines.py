"""What needs no model: scores of those who pick an option without reading the question."""

from datamodules.sample import LETTERS, Sample


def first_option(sample: Sample) -> float:
    """Always say A; open questions have nothing to say A to, and are wrong."""
    return float(bool(sample.options) and _right(sample, 0))


def longest_option(sample: Sample) -> float:
    """Pick the option with the most characters; of several, any with the same chance.

    Options that are media have no text that tells them apart: there this is plain guessing.
    """
    longest = max(map(len, sample.options), default=0)
    picked = [place for place, text in enumerate(sample.options) if len(text) == longest]
    return sum(_right(sample, place) for place in picked) / max(1, len(picked))


def _right(sample: Sample, place: int) -> bool:
    """Whether the option at a place alone is the answer, by its letter or as a set of one."""
    if sample.answer_type == "choice":
        return LETTERS[place] in sample.right
    return sample.answer_type == "set" and sample.answer in (LETTERS[place], sample.options[place])
