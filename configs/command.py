"""What a user meets at the command line: help, the settings of a command, and mistakes in words."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from configs.files import read_text
from configs.load import SCRIPTS, SERVES, choices, load_config, to_yaml
from configs.names import GROUPS, flatten
from configs.paths import FOLDER
from configs.recipes import RECIPES, Command, read_command, recipes
from configs.schema import Config
from untrusted.terminal import told

RECIPE_USAGE = """\
       python train.py recipe=RECIPE [scale=digits|paper] [key=value ...] [STEP:key=value ...]
              [skip=[STEP,...]] [controls=all] [seeds=[0,1,2]] [jobs=2] [--dry-run]"""

COMMON_KEYS = (
    ("seed", "of data order, sampling and initial values"),
    ("run.name", "directory of the run inside run.root; null: by stage, config and number"),
    ("run.root", "directory that holds all run directories"),
    ("init_from", "directory of weights to start from instead of model.path"),
    ("logger", "jsonl, or wandb as well"),
    ("model.path", "directory in Hugging Face format, or a hub id"),
    ("data.root", "directory of the manifests and their media"),
    ("data.format", "auto: told from the fields of a manifest; or a name of docs/data.md"),
    ("data.task", "answer, describe, or answer_from_description"),
    ("data.mixture.by", "source or modality: read as much of each; none: all alike"),
    (
        "data.contribution.rule",
        "what tells which need media: none, calibrated, vidground, ...",
    ),
    ("data.contribution.keep", "all, strong (they need it), not_weak or weak (they do not)"),
    ("optim.lr", "peak learning rate"),
    ("trainer.max_steps", "optimizer steps"),
    ("trainer.max_tokens", "tokens to learn from, if that ends first; 0: as many as there are"),
    ("trainer.batch_size", "prompts in one micro-batch of one device"),
    ("trainer.accumulate_grad_batches", "micro-batches in one optimizer step"),
    ("trainer.devices", "accelerators per node"),
    ("trainer.num_nodes", "machines that train together"),
    ("trainer.strategy", "how devices share the work, in Lightning's words: auto, ddp, ..."),
    ("trainer.precision", "32-true or bf16-mixed"),
    ("trainer.val_check_interval", "steps between validations; 0: never"),
    ("sft.pack_tokens", "tokens in one micro-batch, instead of prompts; 0: prompts"),
    ("rlvr.group_size", "completions sampled per prompt"),
    ("rlvr.max_completion_tokens", "longest sampled answer"),
    ("distill.method", "self (traces of its own) or on_policy (a teacher's opinion)"),
    ("distill.teacher", "reference: the policy of the start; or other weights"),
    ("prealign.reader", "weights that read descriptions; empty: the policy of the start"),
    ("probe.conditions", "what the probed model is left with"),
    ("probe.samples", "answers per question; 1: the greedy one"),
    ("probe.limit", "questions to probe; 0: all"),
    ("clean.sets", "manifests whose questions are judged, [a, b]"),
    ("clean.rules", "rules that judge them by what was probed"),
    ("benchmark.sets", "manifests to score, [a, b]"),
    ("benchmark.checkpoints", "directories compared with the model itself, [a, b]"),
    ("benchmark.conditions", "what is withheld: full, no_audio, no_audio:silent, text_only, ..."),
    ("benchmark.option_permutations", "orders of the options to ask in; 0: each at each place"),
    ("benchmark.limit", "questions to score of each set; 0: all"),
    ("benchmark.grade_by", "answer, or description: how well a reader answers by it"),
)


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
    """Say what a script does, what can be chosen, and the common settings with their defaults."""
    defaults = flatten(asdict(load_config([f"stage={stages[0]}"], stages)))
    shown = {key: "null" if value is None else value for key, value in defaults.items()}
    shown["probe.conditions"] = "[full, ...]"  # its full list would push the captions aside
    groups = [g for g in GROUPS if g != "stage" and {*SERVES.get(g, stages)} & {*stages}]
    trains = SCRIPTS[stages[0]] == "train.py"
    files = {name: min((RECIPES / name).glob("*.yaml")) for name in recipes()} if trains else {}
    lines = [
        f"usage: python {script} stage=STAGE [model=MODEL] [data=DATA] [key=value ...]",
        *([RECIPE_USAGE] if trains else []),
        *("", "stage:", *_captions(_files("stage", stages))),
        *(["", "recipe, with the weights of each step for the next:"] if trains else []),
        *_captions(files),
        *(line for group in groups for line in _menu(group)),
        *("", f"common settings, with their values for stage={stages[0]}:"),
        *(f"  {f'{key}={shown[key]}':<44} {caption}" for key, caption in COMMON_KEYS),
        *("", "--print-config shows all settings of a command without running it."),
    ]
    return "\n".join(lines)


def asks_recipe(argv: list[str]) -> bool:
    """Say whether a command names a recipe rather than a stage, and wants no help."""
    words = [word.lstrip("-+") for word in argv]
    return any(word.startswith("recipe=") for word in words) and not {"h", "help"} & {*words}


def main_recipe(argv: list[str]) -> Command:
    """Resolve the command line of a recipe, or leave with what is wrong."""
    try:
        return read_command(argv)
    except ValueError as error:
        print(f"error: {told(error)}", file=sys.stderr)
        raise SystemExit(2) from None


def main_config(argv: list[str], stages: tuple[str, ...]) -> Config:
    """Resolve the command line of an entry script; answer help and mistakes, then leave."""
    try:
        if not argv or {"-h", "--help"} & {*argv}:
            print(help_text(SCRIPTS[stages[0]], stages))
            raise SystemExit(0 if argv else 2)
        config = load_config([word for word in argv if word != "--print-config"], stages)
    except ValueError as error:
        print(f"error: {told(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    if "--print-config" in argv:
        print(to_yaml(config), end="")
        raise SystemExit(0)
    return config
