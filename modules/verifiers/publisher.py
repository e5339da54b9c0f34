"""Score completions by the rules of a benchmark's publisher, beside our own verdict.

A published number can only be compared under the published rule, right or wrong, and the difference
between the two scores says what the rule is worth. `official_rules` reads as the scripts read; here
is which script scores what, and how it sums up. Three things differ, for all benchmarks alike:

- Nothing is left to chance. Where a script takes an option at random, or the first, because it
  finds none, the completion is unparsed and wrong.
- What is read is the completion alone; scripts that decode the prompt with it look for its end.
- Letters name the options as they were asked, so that questions may be asked in another order.
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
"""Whose scripts do not count a question that could not be shown: it has no row, or one without
output. The others count it as wrong."""

OfficialRule = Literal[LetterRule, "string_match", "tag", "tag_f1", "tag_substring", "count"]


@dataclass(frozen=True, kw_only=True)
class OfficialScore:
    """What a publisher's script gives one completion."""

    score: float
    """0 or 1, and F1 under `tag_f1`."""

    parsed: bool
    """The script found an answer, if a wrong one."""

    rule: OfficialRule


def official_score(sample: Sample, completion: str) -> OfficialScore | None:
    """Score a completion as the publisher of `sample.source` does; None where no rule is known.

    Args:
        sample: with its options, and its answer's letter, in the order in which they were asked.
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
    found = _letter(sample, completion)
    if found is None:
        return None
    rule, letter = found
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
    """Sum up as a benchmark's own script does, as shares of 1; errors of counts are counts.

    `counted` says how many questions the denominator has. An empty completion is one, and wrong.
    Not counted are questions that could not be shown, see `UNWRITTEN`; replies whose letter MMSU
    and Video-MME cannot read, and those that OmniVideoBench takes for a note of a failure. For an
    empty reply, MMSU counts the letter of the row before once more.

        mae  = mean(error), rmse = sqrt(mean(error^2))
        error = |count - answer|, or 2 answer where that is more than max(2 answer, 100)

    A count that cannot be read is wrong, and is 0 in the other three.

    Args:
        completions: in the order of the questions; None where one could not be shown.
        malformed: questions of the manifest that could not even be read, and so not shown.
    """
    rows = zip(pairs, completions, strict=True)
    counted = [
        (score, sample, said)
        for sample, score, said in (_repeated(rows) if source == "mmsu" else _plain(rows))
        if _counts(source, score, said)
    ]
    unread = [] if source in UNWRITTEN else [0.0] * malformed
    scores = [score.score for score, _, _ in counted] + unread
    summary = {"score": _mean(scores), "counted": float(len(scores))}
    if source == "cg_av_counting":
        errors = [_errors(sample, said or "") for _, sample, said in counted]
        summary |= {
            "off_by_one": _mean([float(error <= 1) for error, _ in errors]),
            "mae": _mean([capped for _, capped in errors]),
            "rmse": math.sqrt(_mean([capped**2 for _, capped in errors])),
        }
    return summary


Rows = Iterator[tuple[tuple[Sample, OfficialScore], str | None]]


def _plain(rows: Rows) -> Iterator[tuple[Sample, OfficialScore, str | None]]:
    return ((sample, score, said) for (sample, score), said in rows)


def _repeated(rows: Rows) -> Iterator[tuple[Sample, OfficialScore, str | None]]:
    """Give empty replies the letter that was read last, as MMSU's script does.

    The script ends with an error where there is none; here the reply is wrong.
    """
    letter: str | None = None
    for (sample, score), said in rows:
        if said is not None and said.strip().replace("\n", "") in ("", "None"):
            right = letter is not None and _text(sample, letter) == _text(sample, sample.answer)
            yield sample, replace(score, score=float(right), parsed=True), said
        else:
            letter = rules.outer_letter(said or "") or letter
            yield sample, score, said


def _counts(source: str, score: OfficialScore, said: str | None) -> bool:
    """Tell whether a row is in the denominator."""
    if said is None:
        return source not in UNWRITTEN
    if source == "omnivideobench":
        return not rules.says_failed(said)
    return score.parsed or source not in ("mmsu", "video_mme")


def _key(sample: Sample) -> str:
    """Give the letter that a script takes for the right one.

    OmniBench publishes the text of the answer, and its script reads a letter out of that as it does
    out of replies: "A man is" is A, whichever option it is. Where it finds none, it ends with an
    error; here the letter of the option counts.
    """
    if sample.source != "omnibench":
        return sample.answer
    text = sample.options[LETTERS.index(sample.answer)]
    return rules.bracketed_letter(text, sample.options) or sample.answer


def _letter(sample: Sample, completion: str) -> tuple[LetterRule, str | None] | None:
    """Read a letter as the publisher does; None where no rule is known."""
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
    """Compare what the first tag holds: letters exactly, sets by F1, yes and no as substrings.

        F1 = 2 |both| / (|given| + |right|), of the texts between commas as they stand

    White space is part of a text, so that "A, C" shares only A with "A,C"; and a text given twice
    counts once above and twice below. "no" is in "I know".
    """
    said = rules.tagged(completion) or ""
    if sample.answer_type == "choice":
        return OfficialScore(score=float(said == sample.answer), parsed=bool(said), rule="tag")
    if sample.answer_type == "set":
        given, meant = said.split(","), _items(sample)
        score = 2 * len({*given} & {*meant}) / (len(given) + len(meant))
        return OfficialScore(score=score, parsed=bool(said), rule="tag_f1")
    if sample.answer_type == "yes_no":
        right = sample.answer in said.lower()
        return OfficialScore(score=float(right), parsed=bool(said), rule="tag_substring")
    return None


def _items(sample: Sample) -> list[str]:
    """Write each item of a set as its letter, as IntentBench publishes them; of options that
    repeat, as the first."""
    letters = dict(reversed([*zip(sample.options, LETTERS, strict=False)]))
    items = sample.answer.split(", ")
    return [item if item in [*sample.letters] else letters.get(item, item) for item in items]


def _text(sample: Sample, letter: str) -> str | None:
    """Give an option's text; None where there is no such option."""
    place = LETTERS.index(letter)
    return sample.options[place] if place < len(sample.options) else None


def _errors(sample: Sample, completion: str) -> tuple[float, float]:
    """Give the distance of a count from the right one, and the same bounded."""
    answer = float(sample.answer)
    error = abs((rules.count(completion) or 0) - answer)
    return error, error if error <= max(2 * answer, 100) else 2 * answer


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
