"""Verifiers of the user's own: functions that `data.verifiers` names."""

from types import MappingProxyType

from datamodules.sample import Sample
from runtime.plugins import call, excerpt, load, number


def own_score(answer: str, sample: Sample) -> float | None:
    """Score an answer from 0 to 1, where 1 is right; None for one that cannot be read."""
    function = load("data.verifiers", sample.verifier)
    about = f"the answer {excerpt(answer)} to question {sample.id!r}"
    score = call(function, sample, answer, MappingProxyType(sample.facts), about=about)
    return None if score is None else number(function, score, least=0, about=about)
