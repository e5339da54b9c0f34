"""Join cached probe counts on the questions of a run, and keep those that the rule keeps."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from configs.schema import ContributionConfig, DataConfig
from datamodules.contribution import PRESETS, Rule, decide, select, why_undefined
from datamodules.probe_cache import counts, probe_keys
from datamodules.sample import Sample

log = logging.getLogger(__name__)


def select_questions(samples: Sequence[Sample], data: DataConfig, *, run_dir: Path) -> list[Sample]:
    """Keep the questions that `data.contribution` asks for; the run directory gets the reasons.

    Arithmetic over the cache: another rule or threshold never runs a model again.
    """
    wanted = data.contribution
    if wanted.rule == "none":
        return list(samples)
    rule = PRESETS[wanted.rule]
    cache = probe_directory(data)
    hashes = [sample.content_hash for sample in samples]
    counted = counts(
        cache,
        [_probe_of(wanted, cache, rule, hashes)],
        hashes,
        condition=rule.condition,
        how=rule.how,
    )
    undefined = [why_undefined(rule, sample.media) for sample in samples]
    decisions = decide(rule, counted, undefined)
    selection = select(
        rule,
        [sample.id for sample in samples],
        decisions,
        undefined,
        keep=wanted.keep,
        on_missing=wanted.on_missing,
    )
    kept = set(selection.kept)
    log.info(
        "%s keeps %d of %d questions (%s)",
        wanted.rule,
        len(kept),
        len(samples),
        ", ".join(f"{count} {name}" for name, count in Counter(decisions).most_common()),
    )
    with (run_dir / "selection.jsonl").open("w") as file:
        for sample, decision in zip(samples, decisions, strict=True):
            row = {"id": sample.id, "kept": sample.id in kept, "decision": decision}
            if sample.id in selection.reasons:
                row["reason"] = selection.reasons[sample.id]
            file.write(json.dumps(row) + "\n")
    return [sample for sample in samples if sample.id in kept]


def probe_directory(data: DataConfig) -> Path:
    """Where the probe shards of a data set lie."""
    return Path(data.root) / data.contribution.cache  # an absolute cache replaces the root


def _probe_of(wanted: ContributionConfig, cache: Path, rule: Rule, hashes: Sequence[str]) -> str:
    """Take the configured probe, or the only one with answers of the kind that the rule needs."""
    known = probe_keys(cache)
    if wanted.probe is not None and wanted.probe in known:
        return wanted.probe
    fitting = [
        key
        for key in known
        if counts(cache, [key], hashes, condition=rule.condition, how=rule.how).n.any()
    ]
    if wanted.probe is None and len(fitting) == 1:
        return fitting[0]
    listed = f" ({', '.join(fitting)})" if fitting else ""
    raise ValueError(
        f"{cache} holds {len(known)} probes, {len(fitting)} of them with answers under "
        f"{rule.condition}/{rule.how}{listed}, and data.contribution.probe={wanted.probe} names "
        f"none of them. The rule {rule.name} reads the counts of one: run `python eval.py "
        f"stage=probe 'probe.conditions=[{rule.condition}]' probe.how={rule.how} "
        f"probe.samples={rule.votes}` with the same data and model, choose one with "
        "data.contribution.probe=KEY, or set data.contribution.rule=none to train without "
        "filtering."
    )
