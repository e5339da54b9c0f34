"""Rules as they were published, beside ours: what they ask, and how many right answers they need.

A rule is data; `decide.apply_rule` applies it to counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from configs.ablation import Condition, Replacement
from configs.inputs import ContributionConfig, RuleName


@dataclass(frozen=True, kw_only=True)
class Vote:
    """Votes weak where `needed` answers are right among `answers` to each of `orders`."""

    answers: int = 1
    needed: int = 1
    orders: int = 1
    """Orders of the options; to be right under each of them is circular evaluation."""

    @property
    def total(self) -> int:
        """Answers in all."""
        return self.answers * self.orders


@dataclass(frozen=True, kw_only=True)
class Voter:
    """One probe, and how many of its answers must be right."""

    choice: Vote = Vote()
    """For questions with options."""

    open: Vote = Vote()
    """For questions without."""


@dataclass(frozen=True, kw_only=True)
class VotingRule:
    """Weak where enough probes answer without what was withheld, whatever the chance level."""

    name: str
    condition: Condition
    how: Replacement
    voters: tuple[Voter, ...]
    votes_needed: int

    min_questions: int = 0
    """Sources with fewer questions are kept whole."""

    silence_seconds: float | None = None
    """Length of the silence that the probes hear; None is the recording's own."""

    prompt: Literal["plain", "vidground"] = "plain"
    """The instruction below the question that probes are shown."""


@dataclass(frozen=True, kw_only=True)
class CalibratedRule:
    """Weak where answers beat the question's chance level, strong where they fall well short of
    knowing.

    The numbers are those of data.contribution; the answers of all probes are pooled.
    """

    name: str
    condition: Condition
    how: Replacement
    answers: int = 16
    alpha: float = 0.05
    margin: float = 0.5
    min_questions: int = 0


@dataclass(frozen=True, kw_only=True)
class SoftRule:
    """Contribution as a number: p(full) - p(ablated), and how sure that is."""

    name: str
    condition: Condition
    how: Replacement
    answers: int = 16
    """Under each of the two conditions."""

    confidence: float = 0.95
    min_questions: int = 0


Rule = VotingRule | CalibratedRule | SoftRule

ONCE = Voter()

OMNICLEAN = VotingRule(
    name="omniclean",
    condition="no_audio",
    how="absent",
    voters=(Voter(choice=Vote(answers=16), open=Vote(answers=16)),),
    votes_needed=1,
    min_questions=500,
)
"""2605.12034: visually solvable if any of 16 answers is right without the sound. Two benchmarks are
kept whole: AV-Odyssey, whose options are media, and CG-AV-Counting, whose 376 questions are called
too few. No limit is given and 1,000 were enough elsewhere; 500 is our reading."""

AUDIOMCQ = VotingRule(
    name="audiomcq",
    condition="no_audio",
    how="silent",
    voters=(ONCE,) * 3,
    votes_needed=2,
    silence_seconds=30,
)
"""2509.21060: three models, one answer each, to 30 s of silence. An answer that cannot be parsed is
not correct, and thereby speaks for strong; the paper does not say."""

VIDGROUND = VotingRule(
    name="vidground",
    condition="text_only",
    how="absent",
    voters=(ONCE,),
    votes_needed=1,
    prompt="vidground",
)
"""2604.05117: text-answerable if one pass over question and options alone is right."""


def _consensus(name: RuleName, orders: int) -> VotingRule:
    """Let three models vote as in 2604.05117: single pass; circular or pass@10; circular or direct.

    Some 2,000 questions have no answer of the third model and were kept "conservatively". Here they
    are missing where the other two disagree, and data.contribution.on_missing=keep keeps them. All
    are asked with the same prompt, on which the paper is silent.
    """
    circular = Voter(choice=Vote(orders=orders, needed=orders), open=Vote(answers=10))
    third = Voter(choice=Vote(orders=3, needed=3))
    return replace(VIDGROUND, name=name, voters=(ONCE, circular, third), votes_needed=2)


PRESETS: Mapping[RuleName, Rule] = {
    "omniclean": OMNICLEAN,
    "audiomcq": AUDIOMCQ,
    "vidground": VIDGROUND,
    "vidground_m1": _consensus("vidground_m1", 2),
    "vidground_m2": _consensus("vidground_m2", 4),
    "calibrated": CalibratedRule(name="calibrated", condition="text_only", how="absent"),
    "soft": SoftRule(name="soft", condition="text_only", how="absent"),
}
"""`calibrated` and `soft` are ours; withholding everything but the words is the plainest question,
and data.contribution.condition asks another."""

APPLIES: Mapping[type, tuple[str, ...]] = {
    VotingRule: ("samples", "min_correct", "min_votes"),
    CalibratedRule: ("samples", "alpha", "margin"),
    SoftRule: ("samples",),
}
"""Fields of data.contribution that each kind of rule takes, besides min_questions."""


def rule_of(config: ContributionConfig) -> Rule:
    """Override the numbers of the named rule with those that were given."""
    if config.rule == "none":
        raise ValueError(
            "data.contribution.rule is none, which judges no question, but a rule is asked for: "
            f"choose data.contribution.rule from {', '.join(PRESETS)}."
        )
    rule = PRESETS[config.rule]
    defaults = vars(ContributionConfig())
    known = APPLIES[type(rule)]
    for name in ("samples", "min_correct", "min_votes", "alpha", "margin"):
        if vars(config)[name] != defaults[name] and name not in known:
            fitting = [key for key, preset in PRESETS.items() if name in APPLIES[type(preset)]]
            raise ValueError(
                f"data.contribution.{name} is {vars(config)[name]}, but {rule.name} knows only "
                f"{', '.join(known)}: leave it out, or choose one of {', '.join(fitting)}."
            )
    if config.condition == "full":
        raise ValueError(
            f"data.contribution.condition is full, but {rule.name} asks what is answered without "
            "something: name what is withheld, such as no_audio or text_only."
        )
    rule = replace(
        rule,
        condition=config.condition or rule.condition,
        how=config.replacement or rule.how,
        min_questions=config.min_questions or rule.min_questions,
    )
    if isinstance(rule, VotingRule):
        return _voting(rule, config)
    rule = replace(rule, answers=config.samples or rule.answers)
    if isinstance(rule, CalibratedRule):
        return replace(rule, alpha=config.alpha, margin=config.margin)
    return rule


def _voting(rule: VotingRule, config: ContributionConfig) -> VotingRule:
    voters, votes_needed = rule.voters, config.min_votes or rule.votes_needed
    if votes_needed > len(voters):
        raise ValueError(
            f"data.contribution.min_votes is {votes_needed}, but {rule.name} has {len(voters)} "
            f"voters: give at most {len(voters)}."
        )
    if config.samples or config.min_correct:
        votes = {vote for voter in voters for vote in (voter.choice, voter.open)}
        if len(votes) > 1:
            raise ValueError(
                f"data.contribution.samples and min_correct are {config.samples} and "
                f"{config.min_correct}, but the voters of {rule.name} are asked in different ways: "
                "leave them out, or choose a rule whose voters are alike, such as vidground."
            )
        answers = config.samples or voters[0].choice.answers
        needed = config.min_correct or voters[0].choice.needed
        if needed > answers:
            raise ValueError(
                f"data.contribution.min_correct is {needed}, but each voter of {rule.name} gives "
                f"{answers} answers: give at most {answers}, or set data.contribution.samples."
            )
        vote = Vote(answers=answers, needed=needed)
        voters = (Voter(choice=vote, open=vote),) * len(voters)
    silence = rule.silence_seconds if rule.how == "silent" else None
    return replace(rule, voters=voters, votes_needed=votes_needed, silence_seconds=silence)


@dataclass(frozen=True, kw_only=True)
class RuleQuery:
    """One set of counts that a rule needs."""

    condition: Condition
    how: Replacement
    voter: int
    """Index of the voter that answers; all probes where a rule pools."""

    choice: Vote
    open: Vote


def queries(rule: Rule) -> tuple[RuleQuery, ...]:
    """List the counts that a rule needs: one entry for each `Counts` that `apply_rule` takes, in
    order."""
    if isinstance(rule, VotingRule):
        return tuple(
            RuleQuery(
                condition=rule.condition,
                how=rule.how,
                voter=number,
                choice=voter.choice,
                open=voter.open,
            )
            for number, voter in enumerate(rule.voters)
        )
    vote = Vote(answers=rule.answers)
    ablated = RuleQuery(condition=rule.condition, how=rule.how, voter=0, choice=vote, open=vote)
    if isinstance(rule, CalibratedRule):
        return (ablated,)
    return (replace(ablated, condition="full", how="absent"), ablated)


def probe_command(rule: Rule) -> str:
    """Write the commands that fill the cache with what a rule asks, one a line.

    Where several models vote, MODEL_1, MODEL_2, ... stand for their directories or hub ids.
    """
    lines = []
    voters = max(query.voter for query in queries(rule)) + 1
    conditions = ",".join(dict.fromkeys(query.condition for query in queries(rule)))
    for query in queries(rule)[-voters:]:
        alike = query.choice == query.open
        for only, vote in {"all" if alike else "choice": query.choice, "open": query.open}.items():
            if only == "open" and alike:
                continue
            words = [f"'probe.conditions=[{conditions}]'", f"probe.replacement={query.how}"]
            words += [f"probe.samples={vote.answers}"]
            words += [f"probe.option_permutations={vote.orders}"] if vote.orders > 1 else []
            words += [f"probe.answer_kind={only}"] if only != "all" else []
            if isinstance(rule, VotingRule) and rule.silence_seconds is not None:
                words += [f"probe.silence_seconds={rule.silence_seconds:g}"]
            if isinstance(rule, VotingRule) and rule.prompt != "plain":
                words += [f"probe.prompt={rule.prompt}"]
            words += [f"model.path=MODEL_{query.voter + 1}"] if voters > 1 else []
            lines.append(" ".join(["python eval.py stage=probe", *words]))
    return "\n".join(lines)
