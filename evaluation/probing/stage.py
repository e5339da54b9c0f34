"""Probe: ask frozen models with media withheld, as often as it takes, and keep the counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from configs.schema import Config, ProbeConfig
from datamodules.contribution.presets import Rule, VotingRule, rule_of
from datamodules.contribution.probe_matching import with_rule_defaults
from datamodules.loading.question_set import load_questions
from datamodules.sample import Sample
from evaluation.probing.local import LocalProbe
from evaluation.probing.panel import Panel
from evaluation.probing.probe import Probe
from evaluation.probing.served import ServedProbe
from inference.generate import with_weights
from inference.loading import build_gold_check
from runtime.runs import VOTERS, open_run
from runtime.writing import write_text


def probe(config: Config) -> str:
    """Fill the cache with what is missing from it; return the summary that is printed."""
    until = config.probe.until
    rule = None if until is None else rule_of(replace(config.data.contribution, rule=until))
    with open_run(config) as run:
        panels = fill(config, config.probe.split, rule, run_dir=run.dir)
        voters = [voter for panel in panels for voter in panel.voters() if voter]
        write_text(run.dir / VOTERS, "".join(f"{voter}\n" for voter in voters))
        run.finish()
    return "\n\n".join(panel.summary() for panel in panels)


def fill(config: Config, split: str, rule: Rule | None, *, run_dir: Path) -> list[Panel]:
    """Ask what a rule needs to decide, or without a rule what `config.probe` lists."""
    if rule is not None:
        config = replace(config, probe=with_rule_defaults(config.probe, rule))
    configs = [config, *(with_weights(config, path) for path in config.probe.checkpoints)]
    served = config.probe.backend == "openai"
    probes = [ServedProbe(config)] if served else [LocalProbe(each) for each in configs]
    named = Counter(probe.weights() for probe in probes)  # all of them, before hours of work
    if len(named) < len(probes):
        raise ValueError(
            f"{len(probes)} models are named, but only {len(named)} of them differ: the same "
            "weights answer alike, and would vote twice. Name each once in probe.checkpoints."
        )
    panels = []
    for members in _panels(probes, rule):
        sets = [
            load_questions(
                config.data, split, probe.encoder, run_dir=run_dir, golds=build_gold_check(config)
            )
            for probe in members
        ]
        for questions in sets:
            questions.samples = _wanted(questions.samples, config.probe)
        panel = Panel(members, sets, rule, config)
        panel.fill()
        panels.append(panel)
    return panels


def _panels(probes: Sequence[Probe], rule: Rule | None) -> list[list[Probe]]:
    """Seat the probes that vote together; where a rule has one voter, each sits alone."""
    voters = len(rule.voters) if isinstance(rule, VotingRule) else 1
    if voters == 1:
        return [[probe] for probe in probes]
    if len(probes) != voters:
        raise ValueError(
            f"the rule {rule.name if rule else ''} counts the votes of {voters} probes, but this "
            f"command names {len(probes)}: give the others as probe.checkpoints=[a, b], or probe "
            "each model by a command of its own, without probe.until and on_missing."
        )
    return [list(probes)]


def _wanted(samples: Sequence[Sample], settings: ProbeConfig) -> list[Sample]:
    """Take the questions that the settings ask for, before they are shared out."""
    chosen = list(samples)[: settings.limit or None]
    open_ones = settings.only == "open"
    return [
        sample for sample in chosen if settings.only == "all" or (not sample.options) == open_ones
    ]
