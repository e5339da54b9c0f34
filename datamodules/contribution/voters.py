"""Seat cached probes as the voters of a rule, and add up what they answered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from configs.ablation import Condition, Replacement
from configs.schema import ContributionConfig, ProbeConfig
from datamodules.contribution.decide import (
    Ask,
    Counts,
    Rule,
    SoftRule,
    VotingRule,
    asks,
    command,
    decide,
    items_of,
    rule_of,
)
from datamodules.contribution.probe_cache import find_probe, probes
from datamodules.contribution.probe_scores import Scores
from datamodules.sample import Sample

Pooled = Sequence[Scores]
"""The probes whose answers are added up before they vote."""


def rules_asked(wanted: ContributionConfig) -> tuple[Rule, ...]:
    """List what the cache has to answer: the rule, and for weights the same with nothing withheld.

    `soft` asks that by itself.
    """
    rule = rule_of(wanted)
    if not wanted.weighted or isinstance(rule, SoftRule):
        return (rule,)
    return rule, replace(rule, condition="full", how="absent")


def prescribed(settings: ProbeConfig, rule: Rule) -> ProbeConfig:
    """Lay over the settings of a probe what the paper of a rule says about the asking."""
    if not isinstance(rule, VotingRule):
        return settings
    return replace(
        settings,
        prompt=settings.prompt if rule.prompt == "plain" else rule.prompt,
        silence_seconds=rule.silence_seconds or settings.silence_seconds,
    )


def commands(rules: Iterable[Rule]) -> str:
    """Quote what fills the cache for several rules."""
    lines = " and ".join(f"`{line}`" for rule in rules for line in command(rule).splitlines())
    return f"{lines}, with the model and data settings of this run"


def suits(rule: Rule, scores: Scores) -> bool:
    """Say whether a probe answered what a rule asks; for a published vote, not more than that.

    Of more answers the same share would have to be right, which is another rule: any of 16 is not
    one of 16 out of 32. Probes that are named may vote in any case.
    """
    for ask in asks(rule):
        n = scores.counts(ask.condition, ask.how, orders=_orders(rule, ask)).n
        voting = isinstance(rule, VotingRule)
        if not n.any() or (voting and n.max() > max(ask.choice.total, ask.open.total)):
            return False
    return True


def voters_of(wanted: ContributionConfig, cache: Path, samples: Sequence[Sample]) -> list[Pooled]:
    """Seat the probes that are named, or all that answered what is asked if they are just as many.

    Where one probe votes and several could, those are left that leave fewest questions missing.
    Seats that differ are not for the order of keys to give away: they have to be named.
    """
    content_hashes = [sample.content_hash for sample in samples]
    rules = rules_asked(wanted)
    seats = {ask.voter: (ask.choice, ask.open) for ask in asks(rules[0])}
    kinds = dict.fromkeys((ask.condition, ask.how) for rule in rules for ask in asks(rule))
    facts = probes(cache)
    entries = [[find_probe(cache, name) for name in entry.split("+")] for entry in wanted.probes]
    named = list(dict.fromkeys(key for entry in entries for key in entry))
    scores = {key: Scores.load(cache, key, content_hashes) for key in named or facts}
    answered = {
        key: {kind: int((one.counts(*kind).n > 0).sum()) for kind in kinds}
        for key, one in scores.items()
    }
    if not isinstance(rules[0], VotingRule) and named:
        entries = [named]  # these rules pool whatever they are given
    elif not named and len(set(seats.values())) == 1:
        suited = [key for key, one in scores.items() if all(suits(r, one) for r in rules)]
        if len(seats) == 1:
            items = items_of(samples, rules[0].condition, rules[0].how)
            lacking = {
                key: int(
                    (decide(rules[0], counted(rules[0], [[scores[key]]]), items) == "missing").sum()
                )
                for key in suited
            }
            suited = [key for key in suited if lacking[key] == min(lacking.values())]
        entries = [[key] for key in suited]
    if len(entries) == len(seats):
        return [[scores[key] for key in entry] for entry in entries]
    told = "".join(
        f"\n  {_described(key, facts[key])}: "
        + ", ".join(
            f"{count} of {len(content_hashes)} under {condition}/{how}"
            for (condition, how), count in kinds_answered.items()
        )
        for key, kinds_answered in answered.items()
        if any(kinds_answered.values())
    )
    raise ValueError(
        f"data.contribution.probes={wanted.probes} with {cache} gives {len(entries)} voters, but "
        f"{rules[0].name} takes the votes of {len(seats)}. Questions answered:"
        f"{told or ' none, by no probe'}\nName the voters in order with "
        "data.contribution.probes=[KEY,...], where KEY+KEY pools two probes into one, ask with "
        f"{commands(rules)}, or set data.contribution.rule=none to train without filtering."
    )


def counted(rule: Rule, voters: Sequence[Pooled]) -> list[Counts]:
    """Add up for each thing that a rule asks what its voter answered.

    A vote counts the orders of options that it asks for, as published; the other rules read a
    share, which more orders only make surer.
    """
    return [
        pooled(voters[ask.voter], ask.condition, ask.how, orders=_orders(rule, ask))
        for ask in asks(rule)
    ]


def _orders(rule: Rule, ask: Ask) -> int | None:
    """How many orders of the options count; None counts all."""
    return max(ask.choice.orders, ask.open.orders) if isinstance(rule, VotingRule) else None


def pooled(
    voter: Pooled, condition: Condition, how: Replacement, *, orders: int | None = None
) -> Counts:
    """Add up the answers of several probes."""
    each = [scores.counts(condition, how, orders=orders) for scores in voter]
    return Counts(
        n=np.sum([counts.n for counts in each], axis=0),
        n_correct=np.sum([counts.n_correct for counts in each], axis=0),
    )


def _described(key: str, facts: Mapping[str, object]) -> str:
    """Tell a probe from others by what people know of it."""
    decoding = facts.get("decoding")
    method = decoding.get("method") if isinstance(decoding, Mapping) else facts.get("method")
    return f"{key} ({facts.get('model', 'unknown model')}, {method or 'unknown method'})"
