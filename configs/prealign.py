"""Settings of evidence pre-alignment: rewards of descriptions by which a blind reader answers."""

from dataclasses import dataclass
from typing import Literal

from configs.checks import at_least, from_0_to_1

EvidenceRewardForm = Literal["product", "signed"]


@dataclass(frozen=True, kw_only=True)
class PrealignConfig:
    """Evidence pre-alignment (VEPA, arXiv 2606.17678), for sounds and films as well as pictures.

    The policy describes what a question turns on, and a frozen reader answers by the question and
    the description alone. Everything else is as in `rlvr`: groups, objective, divergence, rounds.
    """

    reader: str = ""
    """Weights that answer by descriptions; empty takes the policy that the run starts from. A
    thinker, or a language model of text."""

    reader_max_tokens: int = 16
    """The reader's answers stop after this many tokens."""

    reward: EvidenceRewardForm = "product"
    """`product`: right x honest x distinct, the paper's formula; `signed`: +1 where the reader is
    right, -1 for a description that gives the answer away, -0.5 for one that repeats itself, the
    form of its appendix."""

    subtract_prior: bool = False
    """Subtract from right (1 or 0) how often the reader is right by the question alone: what it
    knew anyway earns nothing."""

    reader_prior_samples: int = 4
    """Answers, at temperature 1, that `subtract_prior` is measured by."""

    judge: str = ""
    """Weights of a model that is asked whether a description gives the answer away, besides the
    rule that always looks; empty asks none."""

    ngram: int = 4
    """Words that make a repetition when they come again in the same order."""

    min_distinct_ngrams: float = 0.5
    """`signed` calls a description repetitive below this share of distinct ngrams."""

    def __post_init__(self) -> None:
        at_least("prealign", 1, self, "reader_max_tokens", "reader_prior_samples", "ngram")
        half = "half of all ngrams is 0.5"
        from_0_to_1("prealign", self, "min_distinct_ngrams", such_as=half)
