"""Decide which traces are worth imitating: the three filters of OmniBoost, by rules alone.

F1 filters questions, F2 and F3 traces (arXiv 2605.12034, which publishes neither prompts nor word
lists: these are ours). A filter that is switched off still reports its result, so that a file of
traces shows what each would drop.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from configs.distill import RejectionSamplingConfig
from datamodules.sample import Sample
from modules.verifiers.conclusions import final_conclusion, read, same, written
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
    # Not "I cannot hear a dog in the recording", which is an observation.
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
"""English phrases that claim not to perceive the media. That something is not *in* the media is an
observation, and stays."""

CLAIM = re.compile("|".join(rf"\b{claim}" for claim in CLAIMS))
STRAY = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|"
    r"</?(?:audio|image|img|video|vision|sound|speech|frame|media)(?:[_ -]?\w{1,16})? ?/?>",
    re.IGNORECASE,
)
"""Media tokens and tokens of the chat template, written out as text."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One sampled trace."""

    text: str
    finished: bool
    """It ended with an end token, not at the length limit."""

    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class TraceDecision:
    """Whether a trace is kept, and what every filter says of it, switched on or not."""

    kept: bool
    dropped: Dropped
    """The first reason that applies, in the order of the type; empty where it is kept."""

    completion: str
    """The text to imitate; differs from the trace where its answer was repaired."""

    repaired: bool
    n_right: int
    """Correct traces of the same question, before any repair and without those that were cut."""

    suitable: bool
    """F1: the question is neither too hard nor too easy."""

    claim: str
    """F2: the offending words; empty where there are none."""

    consistency: Consistency
    """F3: `unread` where the reasoning has no unambiguous conclusion."""

    conclusion: str | None
    """F3: the conclusion of the reasoning, written as an answer."""


def filter_traces(
    traces: Sequence[Trace], sample: Sample, config: RejectionSamplingConfig
) -> list[TraceDecision]:
    """Decide which traces of one question to keep."""
    n_right = sum(trace.finished and trace.verdict.correct for trace in traces)
    return [_decide(trace, sample, config, n_right) for trace in traces]


def difficulty(n_right: int, config: RejectionSamplingConfig) -> bool:
    """F1: tell whether a question is neither too hard for the policy nor too easy.

    Args:
        n_right: correct traces before any repair; one that was cut counts as a failure.
    """
    return config.min_correct <= n_right <= config.max_correct


def quality(text: str) -> str:
    """F2: return a media token, or a claim not to hear or see; `""` without either."""
    words = " ".join(plain(text).replace("’", "'").casefold().split())
    match = STRAY.search(text) or CLAIM.search(words)
    return match[0] if match else ""


def consistency(text: str, sample: Sample, verdict: Verdict) -> tuple[Consistency, str | None]:
    """F3: compare the answer with the conclusion of the reasoning; return that as well."""
    concluded = final_conclusion(_reasoning(text, verdict), sample)
    if concluded is None:
        return "unread", None
    agrees = same(read(verdict.extracted or "", sample), concluded, sample)
    letter = verdict.rule in ("letter", "index")
    return "agrees" if agrees else "disagrees", written(concluded, sample, letter=letter)


def repair(text: str, concluded: str, sample: Sample) -> str:
    """Replace a wrong answer in tags by the conclusion, if that makes it right.

    Otherwise, and without tags, the text is returned unchanged.
    """
    at = text.rfind(OPEN, 0, max(text.rfind(CLOSE), 0))
    if at < 0:
        return text
    start = at + len(OPEN)
    repaired = f"{text[:start]}{concluded}{text[text.find(CLOSE, start) :]}"
    return repaired if verify(repaired, sample=sample).correct else text


def _decide(
    trace: Trace, sample: Sample, config: RejectionSamplingConfig, n_right: int
) -> TraceDecision:
    claim, suitable = quality(trace.text), difficulty(n_right, config)
    consistent, concluded = consistency(trace.text, sample, trace.verdict)
    completion, right = trace.text, trace.verdict.correct
    if consistent == "disagrees" and not right and config.consistency and config.repair:
        completion = repair(trace.text, concluded or "", sample)
    repaired = completion != trace.text
    reasons: dict[Dropped, bool] = {
        "cut": not trace.finished,
        "wrong": config.only_correct and not (right or repaired),
        "difficulty": config.difficulty and not suitable,
        "quality": config.quality and claim != "",
        "consistency": config.consistency and consistent == "disagrees" and not repaired,
    }
    dropped: Dropped = next((reason for reason, applies in reasons.items() if applies), "")
    return TraceDecision(
        kept=not dropped,
        dropped=dropped,
        completion=completion,
        repaired=repaired,
        n_right=n_right,
        suitable=suitable,
        claim=claim,
        consistency=consistent,
        conclusion=concluded,
    )


def _reasoning(text: str, verdict: Verdict) -> str:
    """Return the text before the container that the answer was read from; all of it without one."""
    thought, _, rest = text.rpartition(THOUGHT)
    before = {"tags": rest.rpartition(OPEN)[0], "boxed": rest.rpartition(BOX)[0], "bare": ""}
    rest = rest if verdict.container is None else before[verdict.container]
    return f"{thought}\n{rest}".replace(THINK, "\n").replace(THOUGHT, "\n")
