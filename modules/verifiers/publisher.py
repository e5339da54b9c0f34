"""Score completions by the rules of a benchmark's publisher, beside our own verdict.

A published number can only be compared under the published rule, right or wrong, and the difference
between the two scores shows what the rule contributes. `publisher_rules` parses like the scripts;
this file says which script scores which benchmark, and how it aggregates. Three things differ, for
all benchmarks:

- There is no chance. Where a script picks an option at random, or the first, the completion is
  unparsed and wrong.
- Only the completion is read; scripts that decode the prompt with it look for its end.
- Letters name the options in the order of the prompt, so that they may be permuted.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from datamodules.sample import LETTERS, Sample
from modules.verifiers import publisher_rules as rules

LetterRule = Literal[
    "outer_letter",
    "leading_letter",
    "first_capital",
    "capital_in_tag",
    "bracketed_letter",
    "any_capital",
    "cleaned_letter",
]
UNWRITTEN = ("mmau", "mmar", "mmsu", "daily_omni", "video_mme", "omnivideobench", "cg_av_counting")
"""Benchmarks whose scripts skip a question that could not be shown: it has no row, or one without
output. The others count it as wrong."""

OfficialRule = Literal[LetterRule, "string_match", "tag", "tag_f1", "tag_substring", "count"]


@dataclass(frozen=True, kw_only=True)
class OfficialScore:
    """The score of one completion by a publisher's script."""

    score: float
    """0 or 1; F1 under `tag_f1`."""

    parsed: bool
    """The script found an answer, right or wrong."""

    rule: OfficialRule


def official_score(sample: Sample, completion: str) -> OfficialScore | None:
    """Score a completion as the publisher of `sample.source` does; None where no rule is known.

    Args:
        sample: with its options, and the answer's letter, in the order of the prompt.
    """
    if sample.source == "intentbench":
        return _intentbench(sample, completion)
    if sample.source == "cg_av_counting" and sample.answer_type == "number":
        counted = rules.count(completion)
        right = counted is not None and abs(counted - float(sample.answer)) < 1e-5
        return OfficialScore(score=float(right), parsed=counted is not None, rule="count")
    if sample.answer_type != "choice":
        return None
    if sample.source in ("mmau", "mmar"):
        answer = sample.options[LETTERS.index(sample.answer)]
        right = rules.matches_text(completion, answer, sample.options)
        parsed = bool(rules.tokens(completion))
        return OfficialScore(score=float(right), parsed=parsed, rule="string_match")
    read = _letter(sample, completion)
    if read is None:
        return None
    rule, letter = read
    right = letter == _key(sample)
    if rule == "outer_letter":  # compares texts, so that a copy of the answer is right too
        right = letter is not None and _text(sample, letter) == _text(sample, sample.answer)
    return OfficialScore(score=float(right), parsed=letter is not None, rule=rule)


def official_summary(
    source: str,
    pairs: Sequence[tuple[Sample, OfficialScore]],
    completions: Sequence[str | None],
    *,
    malformed: int = 0,
) -> Mapping[str, float]:
    """Aggregate as a benchmark's own script does, as shares of 1; errors of counts are counts.

    `counted` is the denominator. An empty completion counts, as wrong. Questions that could not be
    shown do not count, see `UNWRITTEN`; nor do replies whose letter MMSU and Video-MME cannot read,
    and those that OmniVideoBench takes for a note of a failure. For an empty reply, MMSU repeats
    the letter of the row before.

        mae  = mean(error), rmse = sqrt(mean(error^2))
        error = |count - answer|, or 2 answer where that is more than max(2 answer, 100)

    A count that cannot be read is wrong, and is 0 in the other three.

    Args:
        completions: in the order of the questions; None where one could not be shown.
        malformed: unreadable questions of the manifest, which were not shown.
    """
    rows = zip(pairs, completions, strict=True)
    counted = [
        (score, sample, completion)
        for sample, score, completion in (_repeated(rows) if source == "mmsu" else _plain(rows))
        if _counts(source, score, completion)
    ]
    unread = [] if source in UNWRITTEN else [0.0] * malformed
    scores = [score.score for score, _, _ in counted] + unread
    summary = {"score": _mean(scores), "counted": float(len(scores))}
    if source == "cg_av_counting":
        errors = [_errors(sample, text or "") for _, sample, text in counted]
        summary |= {
            "off_by_one": _mean([float(error <= 1) for error, _ in errors]),
            "mae": _mean([capped for _, capped in errors]),
            "rmse": math.sqrt(_mean([capped**2 for _, capped in errors])),
        }
    return summary


Rows = Iterator[tuple[tuple[Sample, OfficialScore], str | None]]


def _plain(rows: Rows) -> Iterator[tuple[Sample, OfficialScore, str | None]]:
    return ((sample, score, completion) for (sample, score), completion in rows)


def _repeated(rows: Rows) -> Iterator[tuple[Sample, OfficialScore, str | None]]:
    """Score empty replies by the letter that was read last, as MMSU's script does.

    The script fails where there is none; here the reply is wrong.
    """
    letter: str | None = None
    for (sample, score), completion in rows:
        if completion is not None and completion.strip().replace("\n", "") in ("", "None"):
            right = letter is not None and _text(sample, letter) == _text(sample, sample.answer)
            yield sample, replace(score, score=float(right), parsed=True), completion
        else:
            letter = rules.outer_letter(completion or "") or letter
            yield sample, score, completion


def _counts(source: str, score: OfficialScore, completion: str | None) -> bool:
    """Tell whether a row is in the denominator."""
    if completion is None:
        return source not in UNWRITTEN
    if source == "omnivideobench":
        return not rules.says_failed(completion)
    return score.parsed or source not in ("mmsu", "video_mme")


def _key(sample: Sample) -> str:
    """Return the letter that a script takes for the right one.

    OmniBench publishes the text of the answer, and its script parses a letter from that as it does
    from replies: "A man is" is A, whichever option it is. Where it finds none, the script fails;
    here the letter of the option counts.
    """
    if sample.source != "omnibench":
        return sample.answer
    text = sample.options[LETTERS.index(sample.answer)]
    return rules.bracketed_letter(text, sample.options) or sample.answer


def _letter(sample: Sample, completion: str) -> tuple[LetterRule, str | None] | None:
    """Parse a letter as the publisher does; None where no rule is known."""
    match sample.source:
        case "mmsu":
            return "outer_letter", rules.outer_letter(completion)
        case "daily_omni":
            return "leading_letter", rules.leading_letter(completion)
        case "video_mme":
            return "first_capital", rules.first_capital(completion, rules.LEAD_INS)
        case "worldsense":
            return "first_capital", rules.first_capital(completion, rules.MORE_LEAD_INS)
        case "video_holmes":
            return "capital_in_tag", rules.capital_in_tag(completion)
        case "omnibench":
            return "bracketed_letter", rules.bracketed_letter(completion, sample.options)
        case "av_odyssey":
            return "any_capital", rules.any_capital(completion, sample.options)
        case "omnivideobench":
            return "cleaned_letter", rules.cleaned_letter(completion, sample.letters)
        case _:
            return None


def _intentbench(sample: Sample, completion: str) -> OfficialScore | None:
    """Compare the content of the first tag: letters exactly, sets by F1, yes and no as substrings.

        F1 = 2 |both| / (|given| + |right|), of the texts between commas as they stand

    White space is part of a text, so that "A, C" shares only A with "A,C"; and a repeated text
    counts once above and twice below. "no" is in "I know".
    """
    text = rules.tagged(completion) or ""
    if sample.answer_type == "choice":
        return OfficialScore(score=float(text == sample.answer), parsed=bool(text), rule="tag")
    if sample.answer_type == "set":
        given, meant = text.split(","), _items(sample)
        score = 2 * len({*given} & {*meant}) / (len(given) + len(meant))
        return OfficialScore(score=score, parsed=bool(text), rule="tag_f1")
    if sample.answer_type == "yes_no":
        right = sample.answer in text.lower()
        return OfficialScore(score=float(right), parsed=bool(text), rule="tag_substring")
    return None


def _items(sample: Sample) -> list[str]:
    """Write each item of a set as its letter, as IntentBench publishes them; the first letter of
    repeated options."""
    letters = dict(reversed([*zip(sample.options, LETTERS, strict=False)]))
    items = sample.answer.split(", ")
    return [item if item in [*sample.letters] else letters.get(item, item) for item in items]


def _text(sample: Sample, letter: str) -> str | None:
    """Return an option's text; None where there is no such option."""
    place = LETTERS.index(letter)
    return sample.options[place] if place < len(sample.options) else None


def _errors(sample: Sample, completion: str) -> tuple[float, float]:
    """Return the error of a count, and the same bounded."""
    answer = float(sample.answer)
    error = abs((rules.count(completion) or 0) - answer)
    return error, error if error <= max(2 * answer, 100) else 2 * answer


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
