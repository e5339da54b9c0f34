"""What a reward is given for: a completion, as it was sampled, and the verdict on it."""

from dataclasses import dataclass

from modules.verifiers.verify import Verdict


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One completion, as it was sampled."""

    text: str
    tokens: int
    finished: bool
    """It ended by itself, before its limit."""


@dataclass(frozen=True, kw_only=True)
class GradedCompletion(Completion):
    """One completion with its verdict."""

    verdict: Verdict
