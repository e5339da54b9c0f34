"""Verify completions by rules alone, without a model or randomness.

`extraction` finds the answer, `parsing` parses it as the expected type, and this file compares it
with the sample. A completion without an answer, or with one of another type, is wrong and counted
as unparsed. Scorers that fall back to a random option, to the letter A, or to a substring ("no" is
in "know") reward noise, and a policy in training learns to exploit that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from datamodules.sample import LETTERS, AnswerType, Sample
from modules.verifiers.extraction import CLOSE, MAX_BARE, OPEN, Container, enclosed, locate, unwrap
from modules.verifiers.math_answers import equivalent
from modules.verifiers.numerals import number
from modules.verifiers.own import own_score
from modules.verifiers.parsing import ChoiceRule, as_shown, check_choice, choice, items
from modules.verifiers.similarity import rouge, set_f1, word_error_rate
from modules.verifiers.symbols import initials
from modules.verifiers.typography import normalize, without_article

Rule = Literal[
    "none", ChoiceRule, "number", "set", "yes_no", "text", "math", "ocr", "regression", "own"
]
Reading = str | Decimal | frozenset[str]

CLOSED: tuple[AnswerType, ...] = ("choice", "number", "yes_no", "regression")
"""Types whose answers are unambiguous without tags."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The extracted answer of a completion, the rule that decided, and whether it is correct."""

    extracted: str | None
    """The answer's text; None without one."""

    container: Container | None
    """Where the answer was found; None without one."""

    rule: Rule
    """What decided: `none` where no answer was found, `letter`, `index` or `option_text` for
    choices, `own` for a function of the user's own, else the answer type."""

    parsed: bool
    """The extracted text is an answer of the expected type; an unparsed one is never correct."""

    correct: bool

    score: float
    """Credit from 0 to 1, and 1 for a correct answer. Of a wrong one: F1 of the items for
    `set`, the mean of ROUGE-1, -2 and -L for `text`, 1 - word error rate for `ocr`, and
    1 - |error| / |answer| for `regression`, as Video-R1 has them (arXiv 2503.21776); else 0."""


NOTHING = Verdict(
    extracted=None, container=None, rule="none", parsed=False, correct=False, score=0.0
)


def chosen(verdict: Verdict, sample: Sample) -> int:
    """Return the place of the option that an answer names, from 0; -1 where it names none."""
    if sample.answer_type != "choice" or not verdict.parsed or verdict.extracted is None:
        return -1
    _, letter = choice(verdict.extracted, sample)
    return -1 if letter is None else LETTERS.index(letter)


def verify(completion: str, *, sample: Sample) -> Verdict:
    """Verify a completion against the answer of its sample.

    `choice` takes the text of the option, or another way of writing it that matches no other one;
    where options are shown behind letters, first the letter, alone, after the word "option" or with
    its own option's text, and "option" with a number from 1. `number` and
    `regression` take digits, a fraction or number words of a value within the sample's tolerance,
    without units; `set` the same items in any order; `yes_no` the bare word; `text` and `ocr` the
    same words; `math` an equivalent expression. Of open answers, case, white space and typography
    never matter; signs and marks that mean something always do.
    """
    return verify_all([completion], [sample])[0]


def verify_all(completions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
    """Verify each completion against its sample; mathematical answers are compared in parallel."""
    golds = [_gold(sample) for sample in samples]
    answers = [_extract(*pair) for pair in zip(completions, samples, strict=True)]
    pairs = {
        place: (unwrap(sample.answer), unwrap(answer[0]))
        for place, (sample, answer) in enumerate(zip(samples, answers, strict=True))
        if sample.answer_type == "math" and answer and answer[1] != "bare"
    }
    equal = dict(zip(pairs, equivalent(list(pairs.values())), strict=True)) if pairs else {}
    return [
        NOTHING if answer is None else _compare(*answer, gold, sample, equal=equal.get(place))
        for place, (answer, gold, sample) in enumerate(zip(answers, golds, samples, strict=True))
    ]


def _extract(completion: str, sample: Sample) -> tuple[str, Container] | None:
    """Extract the answer of a completion.

    An exact answer in tags counts even if it looks like tags or thought itself, as supervised
    completions may. Free-form answers need no tags.
    """
    inner = enclosed(completion)
    if inner and ("<" in inner or len(inner) > MAX_BARE) and as_shown(inner, sample):
        return inner, "tags"
    if sample.free and CLOSE not in completion.partition(OPEN)[2]:
        text = completion.strip()
        return (text, "bare") if text else None
    return locate(completion)


def _gold(sample: Sample) -> Reading:
    """Parse the gold answer of a sample; a choice becomes its letter."""
    gold: Reading | None
    if sample.verifier:
        return sample.answer
    if sample.answer_type == "choice":
        check_choice(sample)
        gold = sample.right[0] if sample.answer in tuple(sample.letters) else None
    elif sample.answer_type == "set":
        gold = items(sample.answer, replace(sample, answer_with="letter"))
    else:
        _, gold = _parse(unwrap(sample.answer), sample)
    if gold is None:
        raise ValueError(
            f"{sample.id}: the answer {sample.answer!r} is no {sample.answer_type} among "
            f"{len(sample.options)} options, so that no completion could be right: correct the "
            "record, or drop it when it is read."
        )
    return gold


def _parse(text: str, sample: Sample) -> tuple[Rule, Reading | None]:
    """Parse a text as an answer of the sample's type; None where it is not one."""
    kind = sample.answer_type
    if kind == "choice":
        return choice(text, sample)
    text = unwrap(text)
    if kind in ("number", "regression"):
        return kind, number(text, percent=sample.answer.endswith("%"))
    if kind == "set":
        return kind, items(text, sample)
    if kind == "math":
        return kind, text or None
    words = normalize(text)
    if kind == "yes_no" and words not in ("yes", "no"):
        return kind, None
    return kind, words or None


def _compare(
    text: str, container: Container, gold: Reading, sample: Sample, *, equal: bool | None
) -> Verdict:
    """Compare an answer with the gold answer.

    Args:
        equal: of `math`, whether the two are equivalent; None where that is undecided.
    """
    if sample.verifier:
        return _own(text, container, sample)
    rule, parsed = _parse(text, sample)
    untagged = sample.answer_type in CLOSED or sample.free
    if container == "bare" and (parsed is None or not untagged):
        return NOTHING
    if sample.answer_type == "math":
        parsed, correct = (None if equal is None else unwrap(text)), equal is True
    elif isinstance(parsed, Decimal) and isinstance(gold, Decimal):
        correct = abs(parsed - gold) <= Decimal(str(sample.tolerance))
    elif sample.answer_type == "text" and isinstance(parsed, str) and isinstance(gold, str):
        correct = any(form(parsed) == form(gold) for form in (str, without_article, initials))
    else:
        correct = parsed == gold
    return Verdict(
        extracted=text if text in sample.options else unwrap(text),
        container=container,
        rule=rule,
        parsed=parsed is not None,
        correct=correct,
        score=1.0 if correct else _credit(parsed, gold, sample.answer_type),
    )


def _own(text: str, container: Container, sample: Sample) -> Verdict:
    """Let the user's own function judge an answer."""
    if container == "bare" and not sample.free:
        return NOTHING
    score = own_score(unwrap(text), sample)
    return Verdict(
        extracted=unwrap(text),
        container=container,
        rule="own",
        parsed=score is not None,
        correct=score == 1,
        score=score or 0.0,
    )


def _credit(answer: Reading | None, gold: Reading, kind: AnswerType) -> float:
    """Give partial credit for a wrong answer."""
    if isinstance(answer, frozenset) and isinstance(gold, frozenset):
        return set_f1(answer, gold)
    if kind == "regression" and isinstance(answer, Decimal) and isinstance(gold, Decimal) and gold:
        return float(max(Decimal(0), 1 - abs(answer - gold) / abs(gold)))
    if kind in ("text", "ocr") and isinstance(answer, str) and isinstance(gold, str):
        words, reference = answer.split(), gold.split()
        if kind == "text":
            return rouge(words, reference)
        return max(0.0, 1 - word_error_rate(words, reference))
    return 0.0
