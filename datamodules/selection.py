"""Join cached probe counts on the questions of a run, and keep those that the rule keeps."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from configs.schema import ContributionConfig, DataConfig
from datamodules.contribution import PRESETS, decide, select, why_undefined
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
    counted = counts(
        cache,
        [_probe_of(wanted, cache)],
        [sample.content_hash for sample in samples],
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


def _probe_of(wanted: ContributionConfig, cache: Path) -> str:
    """Take the configured probe, or the only one there is."""
    known = probe_keys(cache)
    if wanted.probe is not None and wanted.probe in known:
        return wanted.probe
    if wanted.probe is None and len(known) == 1:
        return known[0]
    listed = ", ".join(known[:3]) or "none"
    raise ValueError(
        f"data.contribution.probe={wanted.probe} does not name one of the {len(known)} probes in "
        f"{cache} ({listed}). A rule reads the counts of one probe: run `python eval.py "
        "stage=probe`, set data.contribution.probe to a key of the cache, or "
        "data.contribution.rule=none to train without filtering."
    )
