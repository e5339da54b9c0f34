"""The steps of a recipe as commands: every word is resolved before the first of them runs."""

import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from configs.arms import Arm, Settings
from configs.load import SCRIPTS, SERVES, config_hash, load_config
from configs.names import suggest
from configs.recipe_command import Command, items
from configs.recipes import START, Template
from configs.schema import Config
from configs.words import NULLS
from datamodules.contamination.splits import check_names
from runtime.runs import Identity

PROBES = "data.contribution.probes"
"""The setting in which `@NAME` of a probe stands for its voters, which `runtime.voters` reads."""

PLACED = ("stage", "run.root", "run.name")
"""Settings that a recipe sets for each step."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of train.py or eval.py."""

    name: str
    words: tuple[str, ...]
    """Words of its command."""

    config: Config
    shared: bool

    @property
    def script(self) -> str:
        """Name the script that runs it."""
        return SCRIPTS[self.config.stage]

    @property
    def dir(self) -> Path:
        """Its run directory."""
        assert self.config.run.name is not None, "resolve names every run"
        return Path(self.config.run.root) / self.config.run.name

    @property
    def finished(self) -> bool:
        """Whether it ran to its end, and is not to run again."""
        return (self.dir / "finished").exists()

    def __str__(self) -> str:
        return shlex.join(["python", self.script, *self.words])


class _Skipped(Exception):
    """A value refers to the output of a skipped step."""


def resolve(command: Command, root: Path, arm: Arm | None = None) -> list[Step]:
    """Write out the steps of a recipe in their order, and raise what is wrong with any of them.

    Args:
        root: directory of the recipe; an arm has one of its own in there, but for shared steps.
    """
    _check_pushes(command)
    chain = _Chain(command, root, arm)
    steps = [chain.follow(template) for template in command.recipe.steps]
    return [step for step in steps if step is not None]


def _check_pushes(command: Command) -> None:
    """Refuse a push of several weights to one repository."""
    name = command.recipe.name
    if command.everywhere.get("push.to") not in (*NULLS, None):
        raise ValueError(
            f"push.to={command.everywhere['push.to']} is given for all steps of {name}, but each "
            "would replace the weights of the one before: give it to one, as in "
            f"{_last_training(command)}:push.to=NAMESPACE/NAME."
        )
    pushed = [step for step, given in command.of_step.items() if "push.to" in given]
    if pushed and len(command.arms) > 1:
        raise ValueError(
            f"{pushed[0]}:push.to is given, but arms and seeds run {pushed[0]} "
            f"{len(command.arms)} times, and each would replace the weights of the one before: "
            "leave it out, and push the one that you choose with eval.py stage=push."
        )


def _last_training(command: Command) -> str:
    """Name the last step that leaves weights."""
    trains = [step.name for step in command.recipe.steps if SCRIPTS[step.stage] == "train.py"]
    return trains[-1] if trains else "STEP"


def identity(command: Command) -> Identity:
    """Identity of a recipe's directory: the hash and commands of its steps, wherever it lies."""
    steps = {
        str(step.dir): step
        for arm in command.arms or (None,)
        for step in resolve(command, Path("RECIPE"), arm)
    }
    hashes = [(place, config_hash(step.config)) for place, step in steps.items()]
    lines = [
        line
        for place, step in steps.items()
        for line in (f"{place}:", *(f"- {json.dumps(word)}" for word in step.words))
    ]
    return Identity(
        hash=hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:8],
        text="".join(f"{line}\n" for line in lines),
        command=shlex.join(["python", "train.py", *command.words]),
    )


@final
class _Chain:
    """What earlier steps leave, while the next one is written out."""

    def __init__(self, command: Command, root: Path, arm: Arm | None) -> None:
        self.command = command
        self.root = root
        self.arm = arm
        shared, own = (_everywhere(command, each) for each in (None, arm))
        self.given = {True: shared, False: own}  # for shared steps, and for others
        starts = {mark: given.get("init_from") for mark, given in self.given.items()}
        self.start = {mark: None if path in NULLS else path for mark, path in starts.items()}
        self.templates = {template.name: template for template in command.recipe.steps}
        self.weights: dict[str, str | None] = {}  # behind `@NAME`; None is model.path
        self.dirs: dict[str, Path] = {}  # of steps that run
        self.newest = {**self.start}

    def follow(self, template: Template) -> Step | None:
        """Write out the next step; None where it is skipped."""
        settings = self._settings(template)
        origin = self._origin(template, settings)
        skipped = template.name in self.command.skip
        if not skipped:
            own = None if template.shared else self.arm
            base = self.root if own is None else self.root / own.name
            self.dirs[template.name] = base / template.name
        if SCRIPTS[template.stage] == "train.py":
            export = origin if skipped else str(self.dirs[template.name] / "export")
            self.weights[template.name] = self.newest[False] = export
            if template.shared:
                self.newest[True] = export
        return None if skipped else self._step(template, settings, origin)

    def _settings(self, template: Template) -> dict[str, object]:
        """Lay over each other: the recipe's, the step's, the command's and the arm's for all steps,
        then the command's and the arm's for this one."""
        unused = {group for group, stages in SERVES.items() if template.stage not in stages}
        command, shared = self.command, template.shared
        given = {k: v for k, v in self.given[shared].items() if k not in {*unused, "init_from"}}
        general = {k: v for k, v in command.recipe.settings.items() if k not in unused}
        of_step = dict(command.of_step.get(template.name, {}))
        if self.arm is not None and not shared:
            of_step |= self.arm.of_step.get(template.name, {})
        settings = {**general, **template.settings, **given, **of_step}
        if placed := [key for key in PLACED if key in settings]:
            raise ValueError(
                f"step {template.name}: {placed[0]}={settings[placed[0]]} is given, but a recipe "
                "names stages and places by itself: give run.root and run.name without the step."
            )
        return settings

    def _origin(self, template: Template, settings: dict[str, object]) -> str | None:
        """Name the weights that a step starts from, and take the word from its settings."""
        if "init_from" in settings:
            value = settings.pop("init_from")
            named = self._expanded(template, "init_from", value)
            return None if named is None or named in NULLS else str(named)
        known = self.start if template.stage == "benchmark" else self.newest
        return known[template.shared]

    def _step(self, template: Template, settings: Settings, origin: str | None) -> Step:
        expanded = {k: self._expanded(template, k, value) for k, value in settings.items()}
        begins = {} if origin is None else {"init_from": origin}
        place = self.dirs[template.name]
        placed = {"run.root": str(place.parent), "run.name": place.name}
        given = {"stage": template.stage, **expanded, **begins, **placed}
        words = tuple(word(key, value) for key, value in given.items())
        try:
            config = load_config([*words], tuple(SCRIPTS))
            if SCRIPTS[config.stage] == "train.py":
                check_names(config.data)
        except ValueError as error:
            raise ValueError(f"step {template.name}: {error}") from None
        return Step(name=template.name, words=words, config=config, shared=template.shared)

    def _expanded(self, template: Template, key: str, value: object) -> object:
        """Resolve `@...`; lists lose what skipped steps would have left."""
        if isinstance(value, str) and value.startswith("[") and "@" in value:
            value = items(value)  # a list from the command line
        if isinstance(value, list):
            parts = []
            for item in value:
                try:
                    parts.append(self._reference(template, key, item))
                except _Skipped:
                    continue
            return parts
        try:
            return self._reference(template, key, value)
        except _Skipped:
            raise ValueError(
                f"step {template.name}: {key} is {value!r}, but that step is skipped: skip "
                f"{template.name} too, or give {template.name}:{key}=..."
            ) from None

    def _reference(self, template: Template, key: str, value: object) -> object:
        if not (isinstance(value, str) and value.startswith("@")):
            return value
        name, slash, file = value[1:].partition("/")
        if name == START:
            shared = template.shared
            return self.start[shared] or _model_path(self.command, self.given[shared])
        self._check_earlier(template, key, name)
        stage = self.templates[name].stage
        if name not in self.dirs:
            if slash or key != "init_from" or name not in self.weights:
                raise _Skipped
        elif slash:
            return str(self.dirs[name] / file)
        elif stage == "probe" and key == PROBES:
            return f"@{self.dirs[name]}"
        if name not in self.weights:
            raise ValueError(
                f"step {template.name}: {key} is {value!r}, but stage={stage} leaves no weights: "
                f"name a training step, a file as {value}/FILE, or a probe in {PROBES}=[{value}]."
            )
        return self.weights[name]

    def _check_earlier(self, template: Template, key: str, name: str) -> None:
        """Refuse references to steps that do not exist, come later, or are not shared."""
        names = [*self.templates]
        known = [*names[: names.index(template.name)], START]
        if name not in known:
            raise ValueError(
                f"step {template.name}: {key} is '@{name}', but no step before it has that name: "
                f"choose from {', '.join(f'@{each}' for each in known)}{suggest(name, known)}"
            )
        if template.shared and not self.templates[name].shared:
            raise ValueError(
                f"step {template.name}: {key} is '@{name}', but a shared step comes before all "
                f"that are not: mark {name} as shared too, or {template.name} as not."
            )


def _everywhere(command: Command, arm: Arm | None) -> dict[str, Any]:  # Any: as in Settings
    """Lay the settings of an arm over those that the command gives to all steps."""
    own = {} if arm is None else {"seed": arm.seed, **arm.everywhere}
    return {**command.everywhere, **own}


def _model_path(command: Command, everywhere: Settings) -> str:
    """Find the weights that are meant where no others are given."""
    given = {**command.recipe.settings, **everywhere}
    of_model = {k: v for k, v in given.items() if k == "model" or k.startswith("model.")}
    words = ["stage=benchmark", "data.root=.", *(word(k, v) for k, v in of_model.items())]
    return load_config(words, tuple(SCRIPTS)).model.path


def word(key: str, value: object) -> str:
    """Write a setting as the command line takes it."""
    if isinstance(value, list):
        if any("," in str(item) for item in value):
            return json.dumps({key: value})
        return f"{key}=[{','.join(str(item) for item in value)}]"
    if isinstance(value, bool):
        return f"{key}={str(value).lower()}"
    return f"{key}={'null' if value is None else value}"
