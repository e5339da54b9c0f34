"""Probe: ask frozen models with media withheld, and cache how often they are right."""

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
from evaluation.probing.probe import Probe
from evaluation.probing.runner import ProbeRunner
from evaluation.probing.served import ServedProbe
from inference.generate import with_weights
from inference.loading import build_gold_check
from runtime.runs import open_run
from runtime.voters import VOTERS
from runtime.writing import write_text


def probe(config: Config) -> str:
    """Fill the cache with the missing answers; return the summary to print."""
    until = config.probe.stop_when_decided_by
    rule = None if until is None else rule_of(replace(config.data.contribution, rule=until))
    with open_run(config) as run:
        runners = run_probes(config, config.probe.split, rule, run_dir=run.dir)
        voters = [voter for runner in runners for voter in runner.voters() if voter]
        write_text(run.dir / VOTERS, "".join(f"{voter}\n" for voter in voters))
        run.finish()
    return "\n\n".join(runner.summary() for runner in runners)


def run_probes(
    config: Config, split: str, rule: Rule | None, *, run_dir: Path
) -> list[ProbeRunner]:
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
    runners = []
    for voters in _groups(probes, rule):
        sets = [
            load_questions(
                config.data, split, probe.encoder, run_dir=run_dir, golds=build_gold_check(config)
            )
            for probe in voters
        ]
        for questions in sets:
            questions.samples = _wanted(questions.samples, config.probe)
        runner = ProbeRunner(voters, sets, rule, config)
        runner.run()
        runners.append(runner)
    return runners


def _groups(probes: Sequence[Probe], rule: Rule | None) -> list[list[Probe]]:
    """Group the probes that vote together; with a rule of one voter, each is a group."""
    voters = len(rule.voters) if isinstance(rule, VotingRule) else 1
    if voters == 1:
        return [[probe] for probe in probes]
    if len(probes) != voters:
        raise ValueError(
            f"the rule {rule.name if rule else ''} counts the votes of {voters} probes, but this "
            f"command names {len(probes)}: give the others as probe.checkpoints=[a, b], or probe "
            "each model by a command of its own, without probe.stop_when_decided_by and on_missing."
        )
    return [list(probes)]


def _wanted(samples: Sequence[Sample], settings: ProbeConfig) -> list[Sample]:
    """Select the questions of the settings, before they are divided into shards."""
    chosen = list(samples)[: settings.limit or None]
    open_ones = settings.answer_kind == "open"
    return [
        sample
        for sample in chosen
        if settings.answer_kind == "all" or (not sample.options) == open_ones
    ]
