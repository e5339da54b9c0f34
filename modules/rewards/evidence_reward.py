"""Rewards for descriptions of evidence: a reader answers by them, and rules find leaked answers.

VEPA (arXiv 2606.17678) rewards a description of a picture by which a reader that does not see it
can answer. To say what is seen is honest even where that happens to be the answer; to say which
option that makes right is a leak. The paper leaves this to a judge model; here is a rule, and a
judge is optional.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import final

from configs.prealign import EvidenceRewardForm, PrealignConfig
from datamodules.sample import LETTERS, Sample
from modules.rewards.verifier_reward import ExtraView, Group, RewardResult
from modules.verifiers.conclusions import NUMERALS
from modules.verifiers.extraction import BOX, CLOSE, OPEN
from modules.verifiers.parsing import choice
from modules.verifiers.typography import normalize, plain
from modules.verifiers.verify import Verdict, verify

Texts = Sequence[Sequence[str]]
"""For each question, its descriptions."""

_NO_ANSWER = r"not\b|un\w+|hidden|nowhere|missing|in\s+(?:the|this|that)\b"
_GOOD = r"(?:correct|right|true|best|final)"
_PHRASES = re.compile(
    rf"""
      ^\W*(?:(?:the|my|{_GOOD})\s+)*answer\s+[(\[]?(?:option\s+)?(?:[A-J]|[-+]?\d[\d.,]*%?)\W*$
    | \banswer(?:\s+(?:choice|option|letter))?(?:\s+(?:to|for)\s+(?:the|this|that)\s+question)?
      (?:\s*[:=]|\s+(?:is|are|was|would\s+be|must\s+be|should\s+be|has\s+to\s+be)\b
      (?!\s+(?:{_NO_ANSWER})))
    | \b(?:is|are|be|was)\s+(?:clearly\s+)?(?:the|my|our)\s+(?:{_GOOD}\s+)?answer\b
    | \b{_GOOD}\s+(?:answer|option|choice)\b
    | \b(?:option|choice|statement|answer)\s+(?:\S+\s+){{0,6}}?(?:is|are)\s+(?:the\s+)?
      (?:correct|true|right\s+one)\b
    | \bmy\s+(?:choice|pick)\s+(?:is|would\s+be)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Phrases that state an answer. `his answer is` reports somebody else's, see `_OTHERS`."""

_OTHERS = re.compile(r"\b(?:his|her|their|nobody's|\w+'s)\s+(?:\w+\s+)?answer\b", re.IGNORECASE)

_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth"),
    *("sixth", "seventh", "eighth", "ninth", "tenth"),
)
_PLACES = {
    **{letter.casefold(): number for number, letter in enumerate(LETTERS, start=1)},
    **{str(number): number for number in range(1, len(LETTERS) + 1)},
    **{numeral: number for number, numeral in enumerate(NUMERALS)},
    **{ordinal: number for number, ordinal in enumerate(_ORDINALS, start=1)},
}
"""Number of the option that a name in a sentence stands for, from 1."""

_NAMED = re.compile(
    r"\b(?i:option|choice)\s*[(\[]?(?P<option>[A-J]|[a-j](?=\W*$)|(?:[1-9]|10)\b)(?!\w)"
    rf"|\b(?i:option|choice)\s+(?P<counted>(?i:{'|'.join(NUMERALS)}))[^\w\n]*$"
    rf"|(?:\b(?i:the)\s+|^[^\w\n]*)(?P<nth>(?i:{'|'.join(_ORDINALS)}))\s+(?i:option|choice)\b"
    r"|\b(?i:choose|choosing|pick|picking|select|go\s+with|goes\s+with)\s+[(\[]?(?P<chosen>[A-J])\b"
    r"|(?<!\w)[(\[]?(?P<said>[A-J])[)\]]?\s+is\s+(?:correct|right|true)\b"
    r"|\b(?i:so|thus|therefore|hence|conclusion|final)\W+(?:it\s+is\s+)?[(\[]?(?P<so>[A-J])[)\]]?\W*$"
    r"|[(\[](?P<last>[A-J])[)\]]\W*$",
    re.MULTILINE,
)
"""Ways to name an option within a sentence. Letters count in upper case: `a` is an article."""

_LEAD = re.compile(
    r"^(?:[\W_]|(?:so|thus|therefore|hence|then|(?:in\s+)?conclusion)\b(?:\W+it(?:\s+is|'s)\b)?"
    r"|it\s+must\s+be\b|i\s+(?:think|guess|say|believe)\b|(?:clearly|obviously|evidently|surely"
    r"|certainly|definitely|probably|finally|well|okay|ok)\b)+",
    re.IGNORECASE,
)
"""What may stand before an answer. Not `it is` alone: descriptions begin like that, too."""

_ARTICLE = re.compile(r"^(?:the|an?) (?=.)")

_AROUND = " .,:;()[]*"
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_YES_NO = re.compile(r"^\W*(?:yes|no)(?:\W*$|\s*[,.:;!-])", re.IGNORECASE)
_QUOTED = re.compile(r"^\s*[\"“'‘«]")


def leaks_answer(description: str, sample: Sample) -> bool:
    """Tell whether a description states an answer, right or wrong, as the answer.

    It does with an answer's tags or box, with words such as "the answer is", with the letter or the
    number of an option, by opening with yes or no where that is asked, or where it is nothing but
    an answer, whatever its article and with or without words such as "so" before it. Naming all
    options is repeating the question. A digit, a word or an option's text in a sentence about what
    is seen or heard is evidence, also where it is the answer.

    Such words count as well where a recording says them: a description can report it in others. A
    rule knows no meaning: "only the second one barks" passes, and is a fact.
    """
    text = plain(description).replace("’", "'")
    lowered = text.casefold()
    if any(mark in lowered for mark in (OPEN, CLOSE, BOX)) or _is_answer(text, sample):
        return True
    parts = [part for part in _SENTENCE.split(text) if part.strip()]
    if any(_PHRASES.search(_OTHERS.sub("", part)) for part in (text, *parts)):
        return True
    yes_or_no = {"yes", "no"} & {sample.answer, *map(normalize, sample.options)}
    if yes_or_no and any(_YES_NO.search(part) and not _QUOTED.search(part) for part in parts):
        return True
    named = _letters(text, parts, sample)
    return bool(named) and len(named) < len(sample.options)


def _is_answer(text: str, sample: Sample) -> bool:
    """Tell whether a text is nothing but an answer, whatever stands before it."""
    bare = _bare(text)
    if any(verify(one, sample=sample).parsed for one in (text, bare)):  # of a closed type, untagged
        return True
    if sample.answer_type == "set":
        return verify(f"{OPEN}{_LEAD.sub('', text)}{CLOSE}", sample=sample).correct
    return bool(bare) and bare in map(_bare, (sample.answer, *sample.options))


def _bare(text: str) -> str:
    """Drop what may stand before an answer, and its article, and write a numeral in figures."""
    words = _ARTICLE.sub("", normalize(_LEAD.sub("", text) or text))
    return str(NUMERALS.index(words)) if words in NUMERALS else words


def _letters(text: str, parts: Sequence[str], sample: Sample) -> set[str]:
    """List the options that are named by their letters or numbers."""
    if len(sample.options) < 2:
        return set()
    found = set()
    for match in _NAMED.finditer(text):
        name = next(filter(None, match.groups())).casefold()
        lettered = len(name) == 1 and name.isalpha()
        if not lettered or sample.answer_with == "letter":  # else it is a text like others
            found |= set(sample.letters[_PLACES[name] - 1 : _PLACES[name]])
    for part in dict.fromkeys(part.strip() for part in (*parts, *text.splitlines())):
        rule, letter = choice(part, sample) if part else ("option_text", None)
        spelled = normalize(part) == (letter or "").casefold() and part.strip(_AROUND).islower()
        if letter is not None and rule != "option_text" and not spelled:
            found.add(letter)
    return found


def distinct_n(description: str, n: int) -> float:
    """Compute distinct-n, the share of n-grams of words that are different ones; 1 where there are
    fewer words than n.

    The paper names a factor for repetition, from 0 to 1, and not its formula: this one is ours.
    """
    words = normalize(description).split()
    ngrams = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
    return len(set(ngrams)) / len(ngrams) if ngrams else 1.0


def evidence_reward(
    kind: EvidenceRewardForm,
    *,
    right: bool,
    no_leak: bool,
    distinct: float,
    min_distinct: float,
    prior: float = 0.0,
) -> float:
    """Reward one description.

        product: max(0, right - prior) * no_leak * distinct
        signed:  -1 if it leaks, else -0.5 if distinct < min_distinct, else max(0, right - prior)

    The paper gives both forms, and says of the second neither what wins where two of its cases
    hold, nor what a wrong reader costs: here the worst case, and nothing.

    The prior is the reader's accuracy without a description, alike for a whole group, so that
    subtracting it from every reward would cancel in the group's mean. Subtracted from right answers
    alone, it rewards a question less the better the reader knew it anyway; below zero, an honest
    failure would get less than a leak. Where rewards are divided by the standard deviation of their
    group, most of it cancels again: it is meant for `rlvr.objective.scale_rewards` none or batch.
    """
    gain = max(0.0, right - prior)
    if kind == "product":
        return gain * no_leak * distinct
    if not no_leak:
        return -1.0
    return -0.5 if distinct < min_distinct else gain


@final
class EvidenceReward:
    """Rewards descriptions by which a reader without media answers rightly."""

    def __init__(
        self,
        config: PrealignConfig,
        read: Callable[[Sequence[Sample], Texts], list[list[Verdict]]],
        *,
        prior: Callable[[Sequence[Sample]], list[float]] | None = None,
        judge: Callable[[Sequence[Sample], Texts], list[list[bool | None]]] | None = None,
    ) -> None:
        """Take the reader.

        Args:
            read: answers each question by each of its descriptions.
            prior: measures how often the reader is right by the questions alone; called where the
                config subtracts it.
            judge: finds leaks besides the rule, True where there is none; None is a reply that says
                neither, which counts as no leak and is counted.
        """
        assert prior is not None or not config.subtract_prior, "a prior must be measured"
        self.config = config
        self.read = read
        self.prior = prior
        self.judge = judge
        self.extra_views: Mapping[ExtraView, range] = {}

    def __call__(self, groups: Sequence[Group], *, step: int) -> list[list[RewardResult]]:
        """Have all descriptions read at once, and reward group by group."""
        samples = [group.sample for group in groups]
        texts = [[one.text for one in group.completions] for group in groups]
        verdicts = self.read(samples, texts)
        priors = [0.0] * len(groups)
        if self.config.subtract_prior and self.prior is not None:
            priors = self.prior(samples)
        opinions: Sequence[Sequence[bool | None]] = [[True] * len(group) for group in texts]
        if self.judge is not None:
            opinions = self.judge(samples, texts)
        return [
            [
                self._reward(text, sample, verdict, opinion, prior)
                for text, verdict, opinion in zip(*columns, strict=True)
            ]
            for sample, prior, *columns in zip(
                samples, priors, texts, verdicts, opinions, strict=True
            )
        ]

    def grade(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
        """Grade the answers of the reader, one by each description."""
        return [own for [own] in self.read(samples, [[text] for text in completions])]

    def _reward(
        self, text: str, sample: Sample, verdict: Verdict, opinion: bool | None, prior: float
    ) -> RewardResult:
        """Reward one description, with its parts."""
        no_leak = opinion is not False and not leaks_answer(text, sample)
        share = distinct_n(text, self.config.ngram)
        parts = {"accuracy": float(verdict.correct), "honest": float(no_leak), "distinct": share}
        if self.config.subtract_prior:
            parts["prior"] = prior
        if self.judge is not None:
            parts["unjudged"] = float(opinion is None)
        reward = partial(
            evidence_reward,
            right=verdict.correct,
            no_leak=no_leak,
            min_distinct=self.config.min_distinct_ngrams,
            prior=prior,
        )
        return RewardResult(
            reward=reward(self.config.reward, distinct=share),
            parts=parts,
            filter_score=reward("product", distinct=1.0),
            verdict=verdict,
        )
