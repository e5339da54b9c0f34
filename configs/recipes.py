"""Recipes: stages one after the other, each from the weights that the one before left.

A recipe at one scale is a file, `configs/recipe/NAME/SCALE.yaml`:

    # python train.py recipe=vidground scale=digits
    # Reinforce what a blind model does not answer.
    settings:              # of every step; may be left out
      data.contribution.rule: vidground
    steps:                 # each has a name and a stage; the rest is as on the command line
      - name: probe
        stage: probe
        shared: true       # the same for all arms and seeds that are compared
        probe: {stop_when_decided_by: vidground}
      - name: rlvr
        stage: rlvr
        filtered: true     # here `controls` sets data.contribution.control
        objective: dapo    # files of settings are chosen by their name
        data.contribution.probes: ["@probe"]
      - name: benchmark
        stage: benchmark
        benchmark.checkpoints: ["@rlvr"]

`@NAME` stands for the weights that an earlier step leaves, `@NAME/FILE` for a file of its run
directory, `@start` for the weights that the recipe starts from, and `@NAME` of a probe, in
data.contribution.probes, for its voters. Where `init_from` is not given, a step starts from the
weights of the last training step before it, except a benchmark, which starts from `@start`: it
compares. A step that is skipped leaves the weights that it would have started from, and is left out
of lists.

Here the words of a command are read; recipes/ resolves its steps and runs them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from configs.checks import a_name
from configs.files import read_yaml, section
from configs.load import SCRIPTS
from configs.names import GROUPS, HINTS, flatten, suggest
from configs.paths import FOLDER, at_home
from configs.renamed import refuse_renamed
from configs.words import NULLS, split_words

Settings = Mapping[str, Any]
"""Dotted settings and names of groups; Any: values of every type that YAML knows."""

RECIPES = FOLDER / "recipe"
START = "start"
CONTROL = "data.contribution.control"
RULE = "data.contribution.rule"
CONTROLS: tuple[str, ...] = get_args(HINTS[CONTROL])
FLAGS = ("--dry-run", "--sbatch")
PLACES = ("run.root=", "run.name=")
OWN = ("recipe", "scale", "skip", "controls", "seeds", "jobs")
"""Words of a recipe's command that no stage knows."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """A step as its recipe's file writes it."""

    name: str
    stage: str
    settings: Settings
    shared: bool
    filtered: bool


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe's file, parsed."""

    name: str
    scale: str
    settings: Settings
    steps: tuple[Template, ...]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One of the chains of steps that are compared."""

    control: str | None
    """What the steps that filter do instead; None leaves them as they are written."""

    seed: int

    @property
    def label(self) -> str:
        """Name what is compared over seeds."""
        return self.control or "recipe"

    @property
    def name(self) -> str:
        """Name its directory."""
        return f"{self.label}-{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A recipe's command line, parsed."""

    recipe: Recipe
    everywhere: Settings
    of_step: Mapping[str, Settings]
    skip: frozenset[str]
    arms: tuple[Arm, ...]
    """Chains to compare; none where the recipe runs once."""

    jobs: int
    dry_run: bool
    sbatch: bool
    root: Path
    name: str | None
    words: tuple[str, ...]
    """The command line, but for its flags and where the recipe lies."""

    @property
    def stem(self) -> str:
        """Name the directory, up to its number."""
        return f"{self.recipe.name}-{self.recipe.scale}"


def recipes() -> list[str]:
    """List the recipes, by their directories."""
    return sorted({path.parent.name for path in RECIPES.glob("*/*.yaml")})


def scales(name: str) -> list[str]:
    """List the scales of a recipe, by its files."""
    return sorted(path.stem for path in (RECIPES / name).glob("*.yaml"))


def _choice(what: str, word: str, known: list[str]) -> str:
    """Return a word that is known, or say which are."""
    if word not in known:
        raise ValueError(
            f"{what}={word} is not known: choose from {', '.join(known)}{suggest(word, known)}"
        )
    return word


def read_recipe(name: str, scale: str) -> Recipe:
    """Read the file of a recipe; only names are accepted, never paths."""
    _choice("recipe", name, recipes())
    path = RECIPES / name / f"{_choice('scale', scale, scales(name))}.yaml"
    where = f"recipe/{name}/{path.name}"
    tree = read_yaml(path)  # the stages check the values
    if strays := sorted(map(str, tree.keys() - {"settings", "steps"})):
        raise ValueError(
            f"{where} holds {', '.join(strays)}, but a recipe has settings and steps: move what "
            "all steps have in common into settings, and the rest into its step."
        )
    listed = tree.get("steps")
    if not (isinstance(listed, list) and listed):
        raise ValueError(
            f"{where}: steps is {listed!r}, but a recipe is a list of steps: begin each below "
            "`steps:` with `- name: NAME` and `stage: STAGE`."
        )
    steps = tuple(
        _template(dict(section(step, f"{where}: step {number}")), where)
        for number, step in enumerate(listed, start=1)
    )
    names = [step.name for step in steps]
    if {START, ""} & {*names} or len({*names}) < len(names):
        raise ValueError(
            f"{where} names its steps {', '.join(names)}, but each has a name of its own, other "
            f"than {START}: rename one."
        )
    settings = section(tree.get("settings") or {}, f"{where}: settings")
    return Recipe(name=name, scale=scale, settings=flatten(settings), steps=steps)


def _template(step: dict[str, Any], where: str) -> Template:  # Any: as in Settings
    """Split a step into its name, stage and marks, and its settings."""
    name, stage = str(step.pop("name", "")), str(step.pop("stage", ""))
    if stage not in SCRIPTS:
        raise ValueError(
            f"{where}: step {name!r} has stage {stage!r}, but a step is one of "
            f"{', '.join(SCRIPTS)}{suggest(stage, [*SCRIPTS])}"
        )
    a_name(f"{where}: the name of a step", name)
    marks = {mark: bool(step.pop(mark, False)) for mark in ("shared", "filtered")}
    return Template(name=name, stage=stage, settings=flatten(step), **marks)


def read_command(argv: list[str]) -> Command:
    """Read `recipe=NAME [scale=SCALE] [key=value] [STEP:key=value] [skip=[STEP]] [--dry-run]
    [--sbatch] [controls=all] [seeds=[0,1]] [jobs=2]`; raise ValueError with what to change."""
    words = [word for word in argv if word not in FLAGS]
    given = split_words(words)
    own = {key: given.pop(key, None) for key in OWN}
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
    for key in given:
        refuse_renamed("command line", key, given[key])
        if key not in HINTS and key not in GROUPS:
            near = suggest(key, [*OWN]) or suggest(key, [*HINTS, *GROUPS])
            raise ValueError(f"command line: there is no setting {key!r}{near}")


def _arms(recipe: Recipe, skip: frozenset[str], own: Settings, given: Settings) -> tuple[Arm, ...]:
    """List the chains to compare: all controls with all seeds."""
    if own["controls"] is None and own["seeds"] is None:
        return ()
    wanted = [*CONTROLS] if own["controls"] == "all" else items(own["controls"])
    controls = [_choice("controls", control, [*CONTROLS]) for control in wanted]
    if controls and not any(step.filtered and step.name not in skip for step in recipe.steps):
        raise ValueError(
            f"controls={own['controls']} compares what a filter does, but no step of {recipe.name} "
            f"filters: give one a rule, as in STEP:{RULE}=vidground, or leave controls=... out."
        )
    for key, word in ((CONTROL, "controls"), ("seed", "seeds")):
        if key in given and own[word] is not None:
            raise ValueError(
                f"{word}={own[word]} sets {key} of each chain, and {key}={given[key]} is given as "
                "well: give one of the two."
            )
    words = [given.get("seed", 0)] if own["seeds"] is None else items(own["seeds"])
    seeds = [_number("seeds", word, at_least=0) for word in words]
    if not seeds or len({*seeds}) < len(seeds) or len({*controls}) < len(controls):
        raise ValueError(
            f"controls={own['controls']} and seeds={own['seeds']} are crossed, so each names at "
            "least one, and none twice: such as controls=all seeds=[0,1,2]."
        )
    labels: list[str | None] = [*controls] or [None]
    return tuple(Arm(control=control, seed=seed) for control in labels for seed in seeds)
