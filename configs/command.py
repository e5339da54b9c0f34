"""The command line: help, --print-config, and errors as one sentence."""

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from configs.files import read_text
from configs.layers import COMMAND
from configs.load import SCRIPTS, SERVES, choices, load_config, to_yaml
from configs.names import FROM, GROUPS, captions, flatten
from configs.paths import FOLDER, at_home
from configs.recipe_command import CROSSING, Command, read_command
from configs.recipes import RECIPES, recipes
from configs.schema import Config
from untrusted.terminal import for_terminal

RECIPE_USAGE = """\
       python train.py recipe=RECIPE [scale=digits|paper] [key=value ...] [STEP:key=value ...]
              [skip=[STEP,...]] [arms=[...]] [controls=all] [seeds=[0,1,2]] [against=ARM]
              [jobs=2] [--dry-run] [--sbatch]
       python train.py stage=STAGE arms=[objective=gspo,objective=dr_grpo] seeds=[0,1,2] [...]"""

COMMON = (
    *("seed", "run.name", "run.root", "init_from", "logger", "model.path", "data.root"),
    *("data.format", "data.task", "data.mixture.by"),
    *("data.contribution.rule", "data.contribution.keep"),
    *("optim.lr", "trainer.max_steps", "trainer.max_tokens", "trainer.batch_size"),
    *("trainer.accumulate_grad_batches", "trainer.devices", "trainer.num_nodes"),
    *("trainer.strategy", "trainer.precision", "trainer.val_check_interval"),
    *("sft.pack_tokens", "rlvr.group_size", "rlvr.max_completion_tokens"),
    *("distill.method", "distill.teacher", "prealign.reader"),
    *("probe.conditions", "probe.samples", "probe.limit", "clean.sets", "clean.rules"),
    *("benchmark.sets", "benchmark.checkpoints", "benchmark.conditions"),
    *("benchmark.option_permutations", "benchmark.limit", "benchmark.grade_by"),
    *("compare.runs", "compare.against"),
    *("push.to", "push.private", "push.run", "push.benchmark"),
)
"""Settings that help lists, with the first sentence of their docstrings."""

ALONE = {
    "train.py": ("optim.", "trainer.", "sft.", "rlvr.", "distill.", "prealign."),
    "eval.py": ("probe.", "clean.", "benchmark.", "compare.", "push.run", "push.benchmark"),
}
"""Sections that one script reads and the other does not."""


def _captions(files: Mapping[str, Path]) -> list[str]:
    """List choices, each with the caption from the second line of its YAML file."""
    heads = {name: [*read_text(file).splitlines(), "", ""][1] for name, file in files.items()}
    return [f"  {name:<16} {head.lstrip('# ')}" for name, head in heads.items()]


def _files(group: str, names: Iterable[str]) -> dict[str, Path]:
    return {name: FOLDER / group / f"{name}.yaml" for name in names}


def _menu(group: str) -> list[str]:
    """List what a group offers, under its name and default."""
    return [
        "",
        f"{group} ({GROUPS[group]} unless given):",
        *_captions(_files(group, choices(group))),
    ]


def help_text(script: str, stages: tuple[str, ...]) -> str:
    """Help of a script: its stages, choices, and common settings with their values."""
    defaults = flatten(asdict(load_config([f"stage={stages[0]}"], stages)))
    shown = {key: "null" if value is None else value for key, value in defaults.items()}
    shown["probe.conditions"] = "[full, ...]"  # its full list would push the captions aside
    others = tuple(name for other in {*ALONE} - {script} for name in ALONE[other])
    theirs = {key for key in COMMON if key.startswith(others)}
    said = dict(captions())
    groups = [g for g in GROUPS if g != "stage" and {*SERVES.get(g, stages)} & {*stages}]
    trains = SCRIPTS[stages[0]] == "train.py"
    files = {name: min((RECIPES / name).glob("*.yaml")) for name in recipes()} if trains else {}
    lines = [
        f"usage: python {script} stage=STAGE [model=MODEL] [data=DATA] [config=FILE] [key=value]",
        f"       python {script} --config-from RUN [key=value ...]",
        *([RECIPE_USAGE] if trains else []),
        *("", "stage:", *_captions(_files("stage", stages))),
        *(["", "recipe, with the weights of each step for the next:"] if trains else []),
        *_captions(files),
        *(line for group in groups for line in _menu(group)),
        *("", f"common settings, with their values for stage={stages[0]}:"),
        *(f"  {f'{key}={shown[key]}':<46} {said[key]}" for key in COMMON if key not in theirs),
        *(
            "",
            "config=FILE reads settings from YAML of your own; words of the command win over it.",
        ),
        "--config-from RUN repeats a run, given its directory, with the changes that follow.",
        "--print-config shows all settings of a command without running it.",
    ]
    return "\n".join(lines)


def words_again(argv: list[str]) -> list[str]:
    """Put the words that a recipe has left in place of `--config-from DIRECTORY`; of any other run
    they stay as they are."""
    rest, directory = argv, ""
    for number, word in enumerate(argv):
        name, equals, value = word.lstrip("-+").partition("=")
        if name == FROM:
            directory = value if equals else "".join(argv[number + 1 : number + 2])
            rest = argv[:number] + argv[number + (1 if equals else 2) :]
    left = Path(at_home(directory)) / COMMAND
    if not (directory and left.is_file()):
        return argv
    words = shlex.split(read_text(left))[2:]
    if not _names_recipe(words):
        return argv
    if code := [word for word in words if ".py:" in word]:
        raise ValueError(
            f"{left} has {code[0]}, which runs code of a file, but only words of your own may name "
            "one: look at the file, and give the words of that line again if it is meant."
        )
    return words + rest


def asks_recipe(argv: list[str]) -> bool:
    """Whether a command names a recipe, or one to repeat, or arms or seeds, and asks no help."""
    words = [word.lstrip("-+") for word in argv]
    if {"h", "help"} & {*words}:
        return False
    try:
        return _names_recipe(words_again(argv))
    except ValueError:  # which is told where the words are read
        return True


def _names_recipe(words: Sequence[str]) -> bool:
    """Whether words name a recipe, or arms or seeds, which make one of a stage."""
    begins = ("recipe=", *(f"{word}=" for word in CROSSING))
    return any(word.lstrip("-+").startswith(begins) for word in words)


def main_recipe(argv: list[str]) -> Command:
    """Resolve the command line of a recipe, or leave with what is wrong."""
    try:
        return read_command(words_again(argv))
    except ValueError as error:
        print(f"error: {for_terminal(error)}", file=sys.stderr)
        raise SystemExit(2) from None


def main_config(argv: list[str], stages: tuple[str, ...]) -> Config:
    """Resolve the command line of an entry script; answer help and mistakes, then leave."""
    try:
        if not argv or {"-h", "--help"} & {*argv}:
            print(help_text(SCRIPTS[stages[0]], stages))
            raise SystemExit(0 if argv else 2)
        config = load_config([word for word in argv if word != "--print-config"], stages)
    except ValueError as error:
        print(f"error: {for_terminal(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    if "--print-config" in argv:
        print(to_yaml(config), end="")
        raise SystemExit(0)
    return config
