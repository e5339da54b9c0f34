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

A training stage with arms or seeds is a recipe without a file: the stage, and a benchmark of what
it leaves. `configs/recipe_command.py` reads the words of its command.
"""

from dataclasses import dataclass
from typing import Any

from configs.arms import Settings
from configs.checks import a_name
from configs.files import read_yaml, section
from configs.load import SCRIPTS
from configs.names import flatten, suggest
from configs.paths import FOLDER

RECIPES = FOLDER / "recipe"
START = "start"
TOGETHER = ("trainer.devices", "trainer.num_nodes", "trainer.strategy")
"""Settings of processes that train together; a benchmark is one process."""


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
    """A recipe's file, parsed, or a training stage and its benchmark."""

    name: str
    scale: str | None
    """None where there is no file."""

    settings: Settings
    steps: tuple[Template, ...]


def recipes() -> list[str]:
    """List the recipes, by their directories."""
    return sorted({path.parent.name for path in RECIPES.glob("*/*.yaml")})


def scales(name: str) -> list[str]:
    """List the scales of a recipe, by its files."""
    return sorted(path.stem for path in (RECIPES / name).glob("*.yaml"))


def choice(what: str, word: str, known: list[str]) -> str:
    """Return a word that is known, or say which are."""
    if word not in known:
        raise ValueError(
            f"{what}={word} is not known: choose from {', '.join(known)}{suggest(word, known)}"
        )
    return word


def read_recipe(name: str, scale: str) -> Recipe:
    """Read the file of a recipe; only names are accepted, never paths."""
    choice("recipe", name, recipes())
    path = RECIPES / name / f"{choice('scale', scale, scales(name))}.yaml"
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


def of_stage(stage: str, given: dict[str, Any]) -> Recipe:  # Any: as in Settings
    """Make a recipe of a training stage and a benchmark of what it leaves."""
    if SCRIPTS.get(stage) != "train.py":
        known = [name for name, script in SCRIPTS.items() if script == "train.py"]
        raise ValueError(
            f"arms and seeds are of trainings, and stage={stage or 'null'} is none: choose from "
            f"{', '.join(known)}{suggest(stage, known)}, or give recipe=NAME."
        )
    together = {key: given.pop(key) for key in TOGETHER if key in given}
    given |= {f"{stage}:{key}": value for key, value in together.items()}
    describes = stage == "prealign" or given.get("data.task") == "describe"
    graded = {"benchmark.grade_by": "description"} if describes else {}
    steps = {
        stage: {},
        "benchmark": {"benchmark.checkpoints": [f"@{stage}"], **graded},
    }
    return Recipe(
        name=stage,
        scale=None,
        settings={},
        steps=tuple(
            Template(name=name, stage=name, settings=settings, shared=False, filtered=False)
            for name, settings in steps.items()
        ),
    )
