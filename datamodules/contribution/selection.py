"""Select the questions that a run trains on, and their weights, from cached probe counts.

Arithmetic over the cache: another rule, threshold or control never runs a model again.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.schema import ContributionConfig, DataConfig
from datamodules.contribution.decide import (
    Counts,
    QuestionFeatures,
    apply_rule,
    contribution,
    count_bands,
    question_features,
)
from datamodules.contribution.presets import (
    Rule,
    SoftRule,
    queries,
    rule_of,
)
from datamodules.contribution.probe_matching import (
    PooledProbes,
    counts_by_voter,
    find_voters,
    pool_counts,
    probe_commands,
    required_rules,
)
from datamodules.draws import random_order
from datamodules.sample import Sample
from datamodules.sources.row_files import own_lines
from runtime.writing import write_bytes
from untrusted.json_text import json_of

log = logging.getLogger(__name__)

UNASKED = ("undefined", "unstable")
"""Bands that no answer changes."""

BANDS_KEPT = {
    "strong": ("strong", "undefined", "unstable"),
    "not_weak": ("strong", "undefined", "unstable", "undetermined"),
    "weak": ("weak",),
    "all": ("strong", "undefined", "unstable", "undetermined", "weak"),
}
"""The bands that each `keep` retains. Papers keep in full what their probes cannot ask: the
undefined, and here the unstable. `on_missing` decides on what is missing."""


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The questions that a run trains on, by their indices in the manifest, and their weights."""

    kept: NDArray[np.int64]
    """Indices of the questions to train on, ascending."""

    weak: NDArray[np.int64]
    """Indices of the questions that a curriculum begins with, kept or not."""

    weights: NDArray[np.float64] | None
    """How often each of `kept` is read, in proportion; None reads all equally often."""

    bands: NDArray[np.str_]
    """The rule's band of every question of the manifest; `""` without a rule."""


def select_questions(
    samples: Sequence[Sample], data: DataConfig, *, seed: int, run_dir: Path
) -> Selected:
    """Select the questions that `data.contribution` asks for; write reasons to the run directory.

    Args:
        seed: of the run, by which `control=random_same_size` draws.
    """
    wanted = data.contribution
    if wanted.rule == "none":
        return _everything(wanted, len(samples))
    rule = rule_of(wanted)
    features = question_features(samples, rule.condition, rule.how)
    unasked = np.zeros(len(samples), dtype=np.int64)
    bands = apply_rule(
        rule, [Counts(n=unasked, n_correct=unasked) for _ in queries(rule)], features
    )
    known = np.full((3, len(samples)), np.nan)
    if not np.isin(bands, UNASKED).all():  # else there is nothing that answers could decide
        voters = find_voters(wanted, probe_directory(data), samples)
        bands = apply_rule(rule, counts_by_voter(rule, voters), features)
        known = _contributions(rule, voters, features)  # (3, N)
    if wanted.weighted:  # what has no weight lacks answers, though its band be known
        bands = np.where(np.isnan(known[0]) & ~np.isin(bands, UNASKED), "missing", bands)
    _check_missing(wanted, samples, bands)
    free = ~_read_by(wanted.disjoint_from, samples)
    passed = _passed(wanted, bands) & free
    chosen = _under_control(wanted, passed, bands, free, seed)
    kept, weak = np.flatnonzero(chosen), np.flatnonzero((bands == "weak") & free)
    _check_pools(wanted, kept, weak, count_bands(bands))
    weights = _weights(rule, known[0, kept]) if wanted.weighted else None
    told = wanted.rule, len(kept), len(samples), *map(count_bands, (bands[chosen], bands[~chosen]))
    log.info("%s keeps %d of %d questions: %s; it leaves out: %s", *told)
    reasons = np.where(
        chosen == passed, _reasons(rule, features, bands), f"control={wanted.control}"
    )
    reasons = np.where(free, reasons, "another run has read it")
    _write(run_dir / "selection.jsonl", _rows(samples, chosen, bands, reasons, known))
    return Selected(kept=kept, weak=weak, weights=weights, bands=bands)


def probe_directory(data: DataConfig) -> Path:
    """Return the directory of a data set's probe shards."""
    return Path(data.root) / data.contribution.cache  # an absolute cache replaces the root


def _everything(wanted: ContributionConfig, count: int) -> Selected:
    """Keep all questions; refuse settings that mean nothing without bands."""
    settings = {
        f"keep={wanted.keep}": wanted.keep in ("weak", "not_weak"),
        f"control={wanted.control}": wanted.control in ("random_same_size", "complement"),
        "weighted=true": wanted.weighted,
        f"curriculum_steps={wanted.curriculum_steps}": wanted.curriculum_steps > 0,
        f"disjoint_from={wanted.disjoint_from}": bool(wanted.disjoint_from),
    }
    if given := [setting for setting, matters in settings.items() if matters]:
        raise ValueError(
            f"data.contribution has {', '.join(given)} with rule=none, but no question is weak or "
            "strong without a rule: choose one, such as data.contribution.rule=calibrated, or "
            "leave the rest out."
        )
    nothing = np.empty(0, dtype=np.int64)
    return Selected(kept=np.arange(count), weak=nothing, weights=None, bands=np.full(count, ""))


def _contributions(
    rule: Rule, voters: Sequence[PooledProbes], features: QuestionFeatures
) -> NDArray[np.float64]:
    """Estimate p(full) - p(ablated), with its interval, from all answers of all voters.

    NaN where a question was not asked both ways, or where withholding means nothing.

    Shapes: -> (3, N)
    """
    everyone = [scores for voter in voters for scores in voter]
    full = pool_counts(everyone, "full", "absent")
    ablated = pool_counts(everyone, rule.condition, rule.how)
    confidence = rule.confidence if isinstance(rule, SoftRule) else 0.95
    found = np.array(contribution(full, ablated, confidence=confidence))
    found[:, features.undefined != ""] = np.nan
    return found


def _check_missing(
    wanted: ContributionConfig, samples: Sequence[Sample], bands: NDArray[np.str_]
) -> None:
    """Stop where questions lack answers that the selection depends on."""
    missing = np.flatnonzero(bands == "missing")
    depends = wanted.weighted or (wanted.keep != "all" and wanted.control != "full")
    if len(missing) and wanted.on_missing == "error" and depends:
        raise ValueError(
            f"{len(missing)} of {len(samples)} questions have too few cached answers for "
            f"{wanted.rule}{' with weights' if wanted.weighted else ''} (first: "
            f"{samples[missing[0]].id!r}), and no rule guesses: ask them with "
            f"{probe_commands(required_rules(wanted))}, or decline with "
            "data.contribution.on_missing=drop or keep, or data.contribution.rule=none to train "
            "without filtering."
        )


def _passed(wanted: ContributionConfig, bands: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Mark what the filter keeps.

    With on_missing=error, `_check_missing` has made sure that nothing depends on what is missing;
    with on_missing=probe, everything that can be asked has been.
    """
    missing_too = wanted.on_missing in ("keep", "error")
    return np.isin(bands, BANDS_KEPT[wanted.keep]) | (missing_too & (bands == "missing"))


def _read_by(exports: Sequence[str], samples: Sequence[Sample]) -> NDArray[np.bool_]:
    """Mark the questions that other runs were trained on."""
    read: set[str] = set()
    for export in exports:
        file = Path(export).parent / "selection.jsonl"
        if not file.exists():
            raise ValueError(
                f"data.contribution.disjoint_from names {export}, but there is no {file}, which a "
                "run with a contribution rule leaves beside its export: name such an export."
            )
        rows = map(json_of, own_lines(file))
        read |= {row["id"] for row in rows if row["kept"]}
    return np.array([sample.id in read for sample in samples], dtype=np.bool_)


def _under_control(
    wanted: ContributionConfig,
    passed: NDArray[np.bool_],
    bands: NDArray[np.str_],
    free: NDArray[np.bool_],
    seed: int,
) -> NDArray[np.bool_]:
    """Mark what the run reads: what the filter keeps, or the control that it is compared with.

    Questions dropped for lack of answers belong to neither side of a comparison.

    Args:
        free: False on questions that another run has read, which belong to neither side either.
    """
    judged = free & (passed | (bands != "missing"))
    match wanted.control:
        case "filtered":
            return passed
        case "full":
            return free
        case "complement":
            return judged & ~passed
        case "random_same_size":
            order = random_order(seed, "random_same_size", size=int(judged.sum()))
            drawn = np.zeros_like(passed)
            drawn[np.flatnonzero(judged)[order[: passed.sum()]]] = True
            return drawn


def _check_pools(
    wanted: ContributionConfig, kept: NDArray[np.int64], weak: NDArray[np.int64], told: str
) -> None:
    """Stop where there is nothing to read."""
    if not len(kept):
        raise ValueError(
            f"data.contribution.rule={wanted.rule} with keep={wanted.keep} and "
            f"control={wanted.control} leaves no question to train on ({told}), and a run needs "
            "one at least: choose another rule or keep=all, or take out of disjoint_from what has "
            "read the rest."
        )
    if wanted.curriculum_steps and not len(weak):
        raise ValueError(
            f"data.contribution.curriculum_steps={wanted.curriculum_steps} begins with weak "
            f"questions, but {wanted.rule} finds none ({told}): choose another rule, or "
            "curriculum_steps=0."
        )


def _weights(rule: Rule, estimate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh questions by how much their media help; those of unknown weight get the mean.

    w = max(0, p(full) - p(ablated))
    """
    known = ~np.isnan(estimate)
    weights = np.maximum(0.0, estimate)
    if not weights[known].any():
        raise ValueError(
            f"data.contribution.weighted draws by p(full) - p({rule.condition}), but that is above "
            f"0 for none of {len(estimate)} kept questions ({known.sum()} were asked both ways): "
            "probe a model that the media help, or set data.contribution.weighted=false."
        )
    return np.where(known, weights, weights[known].mean())


def _reasons(rule: Rule, features: QuestionFeatures, bands: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return why the rule does not decide on each question; `""` where it does."""
    few = f"its source has fewer than {rule.min_questions} questions"
    reasons = np.where(bands == "unstable", few, features.undefined)
    return np.where(bands == "missing", "too few cached answers", reasons)


def _rows(
    samples: Sequence[Sample],
    chosen: NDArray[np.bool_],
    bands: NDArray[np.str_],
    reasons: NDArray[np.str_],
    known: NDArray[np.float64],
) -> Iterator[dict[str, object]]:
    """List the outcome of every question of the manifest."""
    columns = (chosen.tolist(), bands.tolist(), reasons.tolist(), known.T.round(6).tolist())
    for sample, kept, band, reason, numbers in zip(samples, *columns, strict=True):
        row: dict[str, object] = {"id": sample.id, "kept": kept, "band": band}
        if reason:
            row["reason"] = reason
        if numbers[0] == numbers[0]:  # NaN is not
            row |= zip(("contribution", "low", "high"), numbers, strict=True)
        yield row


def _write(file: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write all rows at once; every process of a run writes the same."""
    encode = json.JSONEncoder(ensure_ascii=False).encode  # made once: there may be many rows
    text = "".join(f"{encode(row)}\n" for row in rows).encode()
    if file.exists() and file.read_bytes() != text:
        log.warning(
            "the probe cache is not what it was when this run began: from here on other questions "
            "may be read than before, see %s",
            file,
        )
    write_bytes(file, text)
