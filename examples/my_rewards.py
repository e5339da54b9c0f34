"""A reward of one's own: answers about quiet recordings are worth more."""

from collections.abc import Mapping

from datamodules.sample import Sample
from modules.rewards.completion import GradedCompletion

LOUD, QUIET = -10.0, -40.0
"""Decibels of recordings that earn nothing more, and of those that earn most."""


def loudness(question: Sample, completion: GradedCompletion, facts: Mapping[str, str]) -> float:
    """Reward a right answer from 0 to 1, the more the quieter its recording is."""
    if not completion.verdict.correct:
        return 0.0
    decibels = float(facts.get("loudness", LOUD))
    return min(1.0, max(0.0, (LOUD - decibels) / (LOUD - QUIET)))
