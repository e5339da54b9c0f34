"""Match cached probes to the voters of a rule, and sum their counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from configs.ablation import Condition, Replacement
from configs.schema import ContributionConfig, ProbeConfig
from datamodules.contribution.decide import Counts, apply_rule, question_features
from datamodules.contribution.presets import (
    Rule,
    RuleQuery,
    SoftRule,
    VotingRule,
    probe_command,
    queries,
    rule_of,
)
from datamodules.contribution.probe_cache import find_probe, probes
from datamodules.contribution.probe_scores import Scores
from datamodules.sample import Sample

PooledProbes = Sequence[Scores]
"""Probes whose counts are summed before they vote."""


def required_rules(wanted: ContributionConfig) -> tuple[Rule, ...]:
    """List the rules that the cache must answer: the configured one and, for weights, the same with
    nothing withheld, which `soft` includes already.
    """
    rule = rule_of(wanted)
    if not wanted.weighted or isinstance(rule, SoftRule):
        return (rule,)
    return rule, replace(rule, condition="full", how="absent")


def with_rule_defaults(settings: ProbeConfig, rule: Rule) -> ProbeConfig:
    """Override probe settings with what the paper of a rule prescribes."""
    if not isinstance(rule, VotingRule):
        return settings
    return replace(
        settings,
        prompt=settings.prompt if rule.prompt == "plain" else rule.prompt,
        silence_seconds=rule.silence_seconds or settings.silence_seconds,
    )


def probe_commands(rules: Iterable[Rule]) -> str:
    """Quote the commands that fill the cache for several rules."""
    lines = " and ".join(f"`{line}`" for rule in rules for line in probe_command(rule).splitlines())
    return f"{lines}, with the model and data settings of this run"


def satisfies(rule: Rule, scores: Scores) -> bool:
    """Tell whether a probe answered what a rule asks; for a published vote, not more than that.

    With more answers the same share would have to be right, which is another rule: any of 16 is not
    one of 16 out of 32. Probes that are named may vote in any case.
    """
    for query in queries(rule):
        n = scores.counts(query.condition, query.how, orders=_orders(rule, query)).n
        voting = isinstance(rule, VotingRule)
        if not n.any() or (voting and n.max() > max(query.choice.total, query.open.total)):
            return False
    return True


def find_voters(
    wanted: ContributionConfig, cache: Path, samples: Sequence[Sample]
) -> list[PooledProbes]:
    """Return the probes that are named, or all that answered what is asked if their number fits.

    Where one probe votes and several could, those that leave the fewest questions missing remain.
    Voters that are asked in different ways have to be named: the order of keys must not decide.
    """
    content_hashes = [sample.content_hash for sample in samples]
    rules = required_rules(wanted)
    seats = {query.voter: (query.choice, query.open) for query in queries(rules[0])}
    kinds = dict.fromkeys((query.condition, query.how) for rule in rules for query in queries(rule))
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
        suited = [key for key, one in scores.items() if all(satisfies(r, one) for r in rules)]
        if len(seats) == 1:
            features = question_features(samples, rules[0].condition, rules[0].how)
            lacking = {
                key: int(
                    (
                        apply_rule(rules[0], counts_by_voter(rules[0], [[scores[key]]]), features)
                        == "missing"
                    ).sum()
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
            f"{count} of {len(content_hashes)} under {condition}/{replacement}"
            for (condition, replacement), count in kinds_answered.items()
        )
        for key, kinds_answered in answered.items()
        if any(kinds_answered.values())
    )
    raise ValueError(
        f"{_misfit(rules[0].name, len(entries), seats, None if named else cache)}. Questions "
        f"answered:{told or ' none, by no probe'}\nName them in order with "
        "data.contribution.probes=[KEY,...], where KEY+KEY pools two probes into one, ask with "
        f"{probe_commands(rules)}, or set data.contribution.rule=none to train without filtering."
    )


def _misfit(rule: str, found: int, seats: Mapping[int, object], cache: Path | None) -> str:
    """Say why the probes that are named, or else those of a cache, do not fit a rule."""
    probes_found = f"{found} probe" if found == 1 else f"{found or 'no'} probes"
    reads = "reads one" if len(seats) == 1 else f"reads {len(seats)}, each for a vote"
    if cache is None:
        return f"data.contribution.probes names {probes_found}, but {rule} {reads}"
    if len(set(seats.values())) > 1:
        return f"data.contribution.probes is empty, but {rule} {reads} and asked in its own way"
    return f"{cache} holds {probes_found} that answered what {rule} asks, but it {reads}"


def counts_by_voter(rule: Rule, voters: Sequence[PooledProbes]) -> list[Counts]:
    """Sum, for each query of a rule, the answers of its voter.

    A vote counts as many orders of options as the rule asks for, as published; the other rules
    estimate a share, which more orders only make more certain.
    """
    return [
        pool_counts(voters[query.voter], query.condition, query.how, orders=_orders(rule, query))
        for query in queries(rule)
    ]


def _orders(rule: Rule, query: RuleQuery) -> int | None:
    """Return how many orders of the options count; None counts all."""
    return max(query.choice.orders, query.open.orders) if isinstance(rule, VotingRule) else None


def pool_counts(
    voter: PooledProbes,
    condition: Condition,
    replacement: Replacement,
    *,
    orders: int | None = None,
) -> Counts:
    """Sum the answers of several probes."""
    each = [scores.counts(condition, replacement, orders=orders) for scores in voter]
    return Counts(
        n=np.sum([counts.n for counts in each], axis=0),
        n_correct=np.sum([counts.n_correct for counts in each], axis=0),
    )


def _described(key: str, facts: Mapping[str, object]) -> str:
    """Describe a probe by its key, model and decoding."""
    decoding = facts.get("decoding")
    method = decoding.get("method") if isinstance(decoding, Mapping) else facts.get("method")
    return f"{key} ({facts.get('model', 'unknown model')}, {method or 'unknown method'})"
