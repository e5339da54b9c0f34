"""Sort scored checkpoints into arms with seeds, and name arms by the settings that differ."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from configs.arms import labels_of
from configs.comparing import BEFORE
from configs.files import read_yaml
from configs.load import SCRIPTS, SERVES, choices, load_config
from configs.names import flatten
from configs.paths import FOLDER
from evaluation.benchmarking.scored import Scored

MOST = 3
"""Settings in the name of an arm; all that differ stand in results.json."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """What one table compares: files of answers, paired by their seeds."""

    arms: Mapping[str, Sequence[Path]]
    seeds: Sequence[int]
    """Of each arm, in the order of its files; none where no run has trained any of the weights."""

    sets: Sequence[str]
    """Sets that all have been asked."""

    first: str
    """The arm that the others are compared with unless another is named."""

    settings: Mapping[str, Mapping[str, object]]
    """By arm, the settings that are not the same in all."""

    notes: Sequence[str]


def pair(found: Sequence[Scored], step: str) -> Pairing:
    """Sort what was scored in one step of recipes, or in benchmarks by hand, into arms."""
    fixed = {each.digest: each for each in found if each.seed is None}
    # An arm stays one, even if it has learned nothing.
    trained = [
        each
        for each in found
        if each.seed is not None and (each.label is not None or each.digest not in fixed)
    ]
    arms, differing = _named(_by_settings(trained))
    common = _common_seeds(arms)
    alone = _named_alone([*fixed.values()], taken=[*arms])
    if len(arms) + len(alone) < 2:
        raise ValueError(
            f"{step}: there is one arm, {', '.join([*arms, *alone])}, and nothing to compare it "
            "with: name runs of another, or benchmarks that scored the weights before it."
        )
    sets = [name for name in found[0].sets if all(name in each.sets for each in found)]
    if not sets:
        raise ValueError(
            f"{step}: {found[0].file.parent} scored {', '.join(found[0].sets)}, and no set was "
            "scored in all of the runs, but a difference is paired question by question: give "
            "them the same benchmark.sets."
        )
    paired = {label: [file] * max(1, len(common)) for label, file in alone.items()}
    paired |= {label: [seeds[seed] for seed in common] for label, seeds in arms.items()}
    left_out = {label: sorted(set(seeds) - set(common)) for label, seeds in arms.items()}
    return Pairing(
        arms=paired,
        seeds=common,
        sets=sets,
        first=next(iter([*arms][:1] if len(arms) > 1 else paired)),
        settings=differing,
        notes=[
            f"{step}: seeds {', '.join(map(str, seeds))} of {label} are left out, which not all "
            "arms have"
            for label, seeds in left_out.items()
            if seeds
        ],
    )


def _by_settings(trained: Sequence[Scored]) -> list[list[Scored]]:
    """Group by label and settings; runs without a label join those that have the same settings."""
    groups: dict[tuple[str | None, str], list[Scored]] = {}
    labels: dict[str, str | None] = {}
    for each in trained:
        if each.label is not None:
            labels.setdefault(_text(each), each.label)
    for each in trained:
        label = labels.get(_text(each)) if each.label is None else each.label
        groups.setdefault((label, _text(each)), []).append(replace(each, label=label))
    return [*groups.values()]


def _text(scored: Scored) -> str:
    return json.dumps(scored.settings, sort_keys=True)


def _named(
    groups: Sequence[Sequence[Scored]],
) -> tuple[dict[str, dict[int, Path]], dict[str, Mapping[str, object]]]:
    """Name each arm by its label, where it alone has that, or by the settings that differ."""
    settings = [group[0].settings for group in groups]
    labels = [group[0].label for group in groups]
    short = [dict([*given.items()][:MOST]) for given in _differing(_with_choices(settings))]
    names = _unique(
        [
            label if label is not None and labels.count(label) == 1 else name
            for label, name in zip(labels, labels_of(short), strict=True)
        ]
    )
    arms: dict[str, dict[int, Path]] = {name: {} for name in names}
    for name, group in zip(names, groups, strict=True):
        weights: dict[int, str] = {}
        for each in group:
            assert each.seed is not None, "of weights that no run has trained"
            file = arms[name].setdefault(each.seed, each.file)
            if weights.setdefault(each.seed, each.digest) != each.digest:
                raise ValueError(
                    f"{file} and {each.file} are both of arm {name} with seed {each.seed}, but "
                    "answers are paired by arm and seed: name one of the two runs."
                )
    return arms, dict(zip(names, _differing(settings), strict=True))


def _named_alone(fixed: Sequence[Scored], *, taken: Sequence[str]) -> dict[str, Path]:
    """Name weights that no seed has made: `before` where there is one, by themselves otherwise."""
    names = [BEFORE] if len(fixed) == 1 else [each.file.stem for each in fixed]
    names = _unique([*taken, *names])[len(taken) :]
    return {name: each.file for name, each in zip(names, fixed, strict=True)}


def _common_seeds(arms: Mapping[str, Mapping[int, Path]]) -> list[int]:
    """List the seeds that all arms have."""
    common = set.intersection(*(set(seeds) for seeds in arms.values())) if arms else set[int]()
    if arms and not common:
        have = "; ".join(f"{label} has {sorted(seeds)}" for label, seeds in arms.items())
        raise ValueError(
            f"the arms have no seed in common ({have}), but differences are paired seed by seed: "
            "run each with the same seeds."
        )
    return sorted(common)


def _unique(names: Sequence[str]) -> list[str]:
    """Number names that occur again."""
    return [
        f"{name}-{names[:place].count(name) + 1}" if name in names[:place] else name
        for place, name in enumerate(names)
    ]


def _differing(arms: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Keep the settings that are not the same in all arms."""
    keys = {key: None for given in arms for key in given}
    odd = [key for key in keys if len({json.dumps(given.get(key)) for given in arms}) > 1]
    return [{key: given.get(key) for key in odd} for given in arms]


def _with_choices(arms: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Say `objective: gspo` in place of all that it sets, where that says all."""
    for group in SERVES:
        files = {
            name: flatten(read_yaml(FOLDER / group / f"{name}.yaml")) for name in choices(group)
        }
        keys = {key for settings in files.values() for key in settings}
        own = [{key: given[key] for key in keys & given.keys()} for given in arms]
        if all(each == own[0] for each in own):
            continue
        names = [
            _choice(group, list(files), str(given.get("stage")), each)
            for given, each in zip(arms, own, strict=True)
        ]
        if None not in names:
            arms = [
                {"stage": given["stage"], group: name}
                | {k: v for k, v in given.items() if k not in keys}
                for given, name in zip(arms, names, strict=True)
            ]
    return [*arms]


def _choice(group: str, names: Sequence[str], stage: str, own: Mapping[str, object]) -> str | None:
    """Find the file of a group that sets just these values."""
    if stage not in SERVES[group]:
        return None
    for name in names:
        config = load_config([f"stage={stage}", f"{group}={name}", "data.root=."], tuple(SCRIPTS))
        if own == {key: value for key, value in flatten(asdict(config)).items() if key in own}:
            return name
    return None
