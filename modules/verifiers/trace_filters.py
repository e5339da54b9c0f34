"""Decide which traces are worth imitating: the three filters of OmniBoost, by rules alone.

F1 looks at a question, F2 and F3 at a trace (arXiv 2605.12034, which publishes neither prompts nor
lists of words: these are ours). A filter that is switched off still says what it finds, so that a
file of traces shows what each of them would do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from configs.distill import RejectionSamplingConfig
from datamodules.sample import Sample
from modules.verifiers.conclusions import conclusion, read, same, written
from modules.verifiers.extraction import BOX, CLOSE, OPEN, THINK, THOUGHT
from modules.verifiers.typography import plain
from modules.verifiers.verify import Verdict, verify

Dropped = Literal["", "cut", "wrong", "difficulty", "quality", "consistency"]
Consistency = Literal["unread", "agrees", "disagrees"]

_CANNOT = r"(?:can ?not|can't|could not|couldn't|unable to|not able to)"
_MEDIA = (
    r"(?:audio|sound|recording|clip|image|picture|photo|video|film|frame|media)"
    r"(?: (?:clip|file|track|recording))?s?"
)
_GIVEN = r"(?:provided|given|attached|available|included|supplied|accessible)\b"

CLAIMS = (
    # Not "I cannot hear a dog in the recording": whoever says so has listened.
    rf"{_CANNOT} (?:(?:actually|directly|really|physically) )?"
    r"(?:hear|see|listen to|watch|view|access|perceive|play|open|process|analyze) "
    r"(?:(?:the|this|that|any|your|these|those|provided|given|actual|attached|an?) ){0,3}"
    rf"(?:{_MEDIA}|files?|it|them|anything)\b(?! of\b)",
    rf"{_CANNOT} (?:(?:actually|directly|really) )?(?:hear|see|listen|watch)(?=[.,;:!?]|$)",
    rf"(?:do not|don't|did not|didn't) (?:hear|see|receive|get|have) (?:the|any|an?) {_MEDIA}"
    r"(?=[.,;:!?]|$)",
    rf"no {_MEDIA} (?:(?:is|are|was|were|has been|have been) )?{_GIVEN}",
    rf"{_MEDIA} (?:is not|are not|was not|were not|has not been|have not been|isn't|aren't|wasn't|"
    rf"weren't|hasn't been|haven't been) (?:actually )?{_GIVEN}",
    r"without (?:access to|hearing|seeing|listening to|watching|being able to (?:hear|see))"
    rf" (?:(?:the|any|this|actual) ){{0,2}}{_MEDIA}\b",
    r"(?:do not|don't) have (?:direct )?(?:access to|the ability to (?:hear|see|listen|watch))",
    r"(?:as|am|i'm) (?:only |just )?an? (?:text|language|text-based|text-only)"
    r"(?: ai)?(?: language)? (?:model|assistant)\b",
)
"""Ways of saying, in English, that the media were not perceived; a trace is better without any of
them, whatever it answers. That something is not *in* the media is an observation, and stays."""

CLAIM = re.compile("|".join(rf"\b{claim}" for claim in CLAIMS))
STRAY = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|"
    r"</?(?:audio|image|img|video|vision|sound|speech|frame|media)(?:[_ -]?\w{1,16})? ?/?>",
    re.IGNORECASE,
)
"""Tokens that stand for media or for the frame of a dialog, written out."""


@dataclass(frozen=True, kw_only=True)
class Traced:
    """One trace, as the policy gave it."""

    text: str
    finished: bool
    """It ended by itself, rather than at the limit."""

    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of a trace, and what every filter says of it, switched on or not."""

    kept: bool
    dropped: Dropped
    """The first reason that applies, in the order of the type; empty where it is kept."""

    completion: str
    """What is to be imitated; differs from the trace where its answer was repaired."""

    repaired: bool
    n_right: int
    """Right traces of the same question, without those that were cut, and before any was
    repaired."""

    suitable: bool
    """F1: the question is neither too hard nor too easy."""

    claim: str
    """F2: the words that a trace should not hold; empty where there are none."""

    consistency: Consistency
    """F3: `unread` where the reasoning does not plainly come to anything."""

    conclusion: str | None
    """F3: what the reasoning comes to, as an answer is written."""


def sift(traces: Sequence[Traced], sample: Sample, config: RejectionSamplingConfig) -> list[Judged]:
    """Decide on all traces of one question."""
    n_right = sum(trace.finished and trace.verdict.correct for trace in traces)
    return [_judged(trace, sample, config, n_right) for trace in traces]


def difficulty(n_right: int, config: RejectionSamplingConfig) -> bool:
    """F1: tell whether a question is neither too hard for the policy nor too easy.

    Args:
        n_right: traces that ended by themselves and gave the right answer before any repair: what
            is cut is imitated by nobody, so that it counts as a failure.
    """
    return config.min_correct <= n_right <= config.max_correct


def quality(text: str) -> str:
    """F2: find a media token, or a claim not to hear or see; `""` without either."""
    said = " ".join(plain(text).replace("’", "'").casefold().split())
    found = STRAY.search(text) or CLAIM.search(said)
    return found[0] if found else ""


def consistency(text: str, sample: Sample, verdict: Verdict) -> tuple[Consistency, str | None]:
    """F3: compare the answer with what the reasoning before it comes to; return that as well."""
    concluded = conclusion(_reasoning(text, verdict), sample)
    if concluded is None:
        return "unread", None
    agrees = same(read(verdict.extracted or "", sample), concluded, sample)
    letter = verdict.rule in ("letter", "index")
    return "agrees" if agrees else "disagrees", written(concluded, sample, letter=letter)


def repaired(text: str, concluded: str, sample: Sample) -> str:
    """Put what was concluded in place of a wrong answer, if that makes it right.

    Of the containers only tags are filled anew; the text is returned as it is where there are none.
    """
    at = text.rfind(OPEN, 0, max(text.rfind(CLOSE), 0))
    if at < 0:
        return text
    start = at + len(OPEN)
    other = f"{text[:start]}{concluded}{text[text.find(CLOSE, start) :]}"
    return other if verify(other, sample=sample).correct else text


def _judged(trace: Traced, sample: Sample, config: RejectionSamplingConfig, n_right: int) -> Judged:
    claim, suitable = quality(trace.text), difficulty(n_right, config)
    found, concluded = consistency(trace.text, sample, trace.verdict)
    completion, right = trace.text, trace.verdict.correct
    if found == "disagrees" and not right and config.consistency and config.repair:
        completion = repaired(trace.text, concluded or "", sample)
    mended = completion != trace.text
    reasons: dict[Dropped, bool] = {
        "cut": not trace.finished,
        "wrong": config.only_correct and not (right or mended),
        "difficulty": config.difficulty and not suitable,
        "quality": config.quality and claim != "",
        "consistency": config.consistency and found == "disagrees" and not mended,
    }
    dropped: Dropped = next((reason for reason, applies in reasons.items() if applies), "")
    return Judged(
        kept=not dropped,
        dropped=dropped,
        completion=completion,
        repaired=mended,
        n_right=n_right,
        suitable=suitable,
        claim=claim,
        consistency=found,
        conclusion=concluded,
    )


def _reasoning(text: str, verdict: Verdict) -> str:
    """Take what stands before the container that the answer was read from; all without one."""
    thought, _, said = text.rpartition(THOUGHT)
    before = {"tags": said.rpartition(OPEN)[0], "boxed": said.rpartition(BOX)[0], "bare": ""}
    said = said if verdict.container is None else before[verdict.container]
    return f"{thought}\n{said}".replace(THINK, "\n").replace(THOUGHT, "\n")
