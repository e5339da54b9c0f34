"""The command of a recipe, or of arms of a training stage; recipes/ runs the steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from configs.arms import BASE, Arm, Settings, read_arms
from configs.checks import a_name
from configs.comparing import BEFORE
from configs.layers import with_files
from configs.load import SCRIPTS
from configs.names import GROUPS, HINTS, suggest
from configs.paths import at_home
from configs.recipes import Recipe, Template, choice, of_stage, read_recipe
from configs.renamed import refuse_renamed
from configs.words import NULLS, split_words

CONTROL = "data.contribution.control"
RULE = "data.contribution.rule"
CONTROLS: tuple[str, ...] = get_args(HINTS[CONTROL])
FLAGS = ("--dry-run", "--sbatch")
PLACES = ("run.root=", "run.name=")
CROSSING = ("arms", "controls", "seeds")
"""Words that make a recipe of a stage."""

OWN = ("recipe", "scale", "skip", *CROSSING, "jobs")
"""Words of a recipe's command that no stage knows."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A recipe's command line, parsed."""

    recipe: Recipe
    everywhere: Settings
    of_step: Mapping[str, Settings]
    skip: frozenset[str]
    arms: tuple[Arm, ...]
    """Chains to compare; none where the recipe runs once."""

    against: str
    """Label of the arm that the others are compared with; empty leaves it to the comparison."""

    jobs: int
    dry_run: bool
    sbatch: bool
    root: Path
    name: str | None
    words: tuple[str, ...]
    """The command line, but for its flags and where the recipe lies."""

    @property
    def title(self) -> str:
        """Name what is run, as it is named on the command line."""
        return f"{'stage' if self.recipe.scale is None else 'recipe'}={self.recipe.name}"

    @property
    def stem(self) -> str:
        """Name the directory, up to its number."""
        return f"{self.recipe.name}-{self.recipe.scale or 'arms'}"


def read_command(argv: list[str]) -> Command:
    """Read `recipe=NAME [scale=SCALE]` or `stage=STAGE`, and `[key=value] [STEP:key=value]
    [skip=[STEP]] [arms=[...]] [controls=all] [seeds=[0,1]] [against=ARM] [jobs=2] [--dry-run]
    [--sbatch]`; raise ValueError with what to change."""
    words = [word for word in argv if word not in FLAGS]
    given = with_files(split_words(words))
    own = {key: given.pop(key, None) for key in OWN}
    against = given.pop("compare.against", None)
    if own["recipe"] is None:
        recipe = of_stage(str(given.pop("stage", "")), given)
    else:
        recipe = read_recipe(str(own["recipe"]), str(own["scale"] or "digits"))
    name, root = given.pop("run.name", None), given.pop("run.root", "runs")
    name = None if name is None or name in NULLS else str(name)
    if name is not None:
        a_name("run.name", name)
    names = [step.name for step in recipe.steps]
    of_step: dict[str, dict[str, Any]] = {}  # Any: as in Settings
    for key in [key for key in given if ":" in key]:
        step, _, setting = key.partition(":")
        of_step.setdefault(_known_step(recipe, step, key), {})[setting] = given.pop(key)
    skip = frozenset(_known_step(recipe, step, "skip") for step in items(own["skip"]))
    if skip == {*names}:
        raise ValueError(f"skip={sorted(skip)} leaves no step of {recipe.name}: skip fewer.")
    steps = (_filtering(step, {**given, **of_step.get(step.name, {})}) for step in recipe.steps)
    recipe = replace(recipe, steps=tuple(steps))
    arms = _arms(recipe, skip, own, given)
    _check_words(recipe, given)
    return Command(
        recipe=recipe,
        everywhere=given,
        of_step=of_step,
        skip=skip,
        arms=arms,
        against=_baseline(arms, against) if arms else "",
        jobs=_number("jobs", own["jobs"] or 1, at_least=1),
        dry_run="--dry-run" in argv,
        sbatch="--sbatch" in argv,
        words=tuple(word for word in words if not word.lstrip("-").startswith(PLACES)),
        root=Path(at_home(str(root))),
        name=name,
    )


def _filtering(step: Template, given: Settings) -> Template:
    """Mark a step as one that filters where the command gives it a rule."""
    trains = SCRIPTS[step.stage] == "train.py" and not step.shared
    return replace(step, filtered=step.filtered or (trains and given.get(RULE, "none") != "none"))


def items(value: object) -> list[str]:
    """Read a list, with or without its brackets."""
    if value is None or isinstance(value, list):
        return [str(item) for item in value or ()]
    return [item.strip() for item in str(value).strip("[]").split(",") if item.strip()]


def _number(key: str, value: object, *, at_least: int) -> int:
    """Read a whole number."""
    text = str(value)
    number = int(text) if text.isdecimal() else at_least - 1
    if number < at_least:
        raise ValueError(f"{key} is {value!r}, but must be a whole number from {at_least} on.")
    return number


def _known_step(recipe: Recipe, step: str, word: str) -> str:
    """Return the name of a step, or say which there are."""
    names = [known.name for known in recipe.steps]
    if step not in names:
        raise ValueError(
            f"{word}: {recipe.name} has no step {step!r}: choose from "
            f"{', '.join(names)}{suggest(step, names)}"
        )
    return step


def _check_words(recipe: Recipe, given: Settings) -> None:
    """Refuse words that no step could take; the values are checked step by step."""
    if "stage" in given:
        raise ValueError(
            f"recipe={recipe.name} has stages of its own, and stage={given['stage']} is given as "
            "well: give one of the two, or leave steps out with skip=[...]."
        )
    _check_settings("command line", given)


def _check_settings(where: str, given: Settings) -> None:
    """Refuse keys that no stage knows."""
    for key in given:
        refuse_renamed(where, key, given[key])
        if key not in HINTS and key not in GROUPS:
            near = suggest(key, [*OWN]) or suggest(key, [*HINTS, *GROUPS])
            raise ValueError(f"{where}: there is no setting {key!r}{near}")


def _arms(recipe: Recipe, skip: frozenset[str], own: Settings, given: Settings) -> tuple[Arm, ...]:
    """List the chains to compare: all arms, controls among them, with all seeds."""
    if not any(own[word] is not None for word in CROSSING):
        return ()
    for key, word in ((CONTROL, "controls"), ("seed", "seeds")):
        if key in given and own[word] is not None:
            raise ValueError(
                f"{word}={own[word]} sets {key} of each chain, and {key}={given[key]} is given as "
                "well: give one of the two."
            )
    arms = [] if own["arms"] is None else _ways(recipe, read_arms(own["arms"]))
    arms += _controls(recipe, skip, own["controls"])
    arms = arms or [Arm(label=BASE, seed=0)]
    words = [given.get("seed", 0)] if own["seeds"] is None else items(own["seeds"])
    seeds = [_number("seeds", word, at_least=0) for word in words]
    labels = [arm.label for arm in arms]
    if not seeds or len({*seeds}) < len(seeds) or len({*labels}) < len(labels):
        raise ValueError(
            f"arms {', '.join(labels)} and seeds={own['seeds']} are crossed, so each names at "
            "least one, and none twice: such as controls=all seeds=[0,1,2]."
        )
    return tuple(replace(arm, seed=seed) for arm in arms for seed in seeds)


def _ways(recipe: Recipe, arms: Mapping[str, Settings]) -> list[Arm]:
    """Tell the settings of each arm that are for one step from those for all."""
    found = []
    for label, settings in arms.items():
        of_step: dict[str, dict[str, Any]] = {}  # Any: as in Settings
        everywhere = {key: value for key, value in settings.items() if ":" not in key}
        for key in settings.keys() - everywhere.keys():
            step, _, setting = key.partition(":")
            of_step.setdefault(_known_step(recipe, step, key), {})[setting] = settings[key]
        _check_settings(f"arm {label}", everywhere)
        found.append(Arm(label=label, seed=0, everywhere=everywhere, of_step=of_step))
    return found


def _controls(recipe: Recipe, skip: frozenset[str], word: object) -> list[Arm]:
    """Make an arm of each control: what the steps that filter do instead."""
    wanted = [*CONTROLS] if word == "all" else items(word)
    filtering = [step.name for step in recipe.steps if step.filtered and step.name not in skip]
    if wanted and not filtering:
        raise ValueError(
            f"controls={word} compares what a filter does, but no step of {recipe.name} "
            f"filters: give one a rule, as in STEP:{RULE}=vidground, or leave controls=... out."
        )
    return [
        Arm(label=control, seed=0, of_step={step: {CONTROL: control} for step in filtering})
        for control in (choice("controls", name, [*CONTROLS]) for name in wanted)
    ]


def _baseline(arms: Sequence[Arm], word: object) -> str:
    """Return the arm that the others are compared with: the first unless another is named."""
    labels = [arm.label for arm in arms]
    if word is None or word in NULLS:
        return labels[0] if len({*labels}) > 1 else ""
    return choice("against", str(word), [*dict.fromkeys([*labels, BEFORE])])
