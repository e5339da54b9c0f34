"""Check the arms of a recipe before they run, and write out the step that compares them."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from configs.arms import BASE
from configs.load import SCRIPTS, config_hash, load_config
from configs.recipe_command import Command
from configs.schema import Config
from recipes.steps import Step, resolve, word


def comparison(command: Command, chains: Sequence[Sequence[Step]], root: Path) -> Step | None:
    """Write out the step that compares the arms; None where none of their steps scores them."""
    scores = [step.config for step in chains[0] if _scores(step)]
    if not command.arms or not scores:
        return None
    settings = {
        "stage": "compare",
        "compare.runs": [str(root)],
        "compare.against": command.against,
        "benchmark.confidence": scores[0].benchmark.confidence,
        "run.root": str(root),
        "run.name": "compare",
    }
    words = tuple(word(key, value) for key, value in settings.items())
    config = load_config([*words], tuple(SCRIPTS))
    return Step(name="compare", words=words, config=config, shared=False)


def _scores(step: Step) -> bool:
    """Whether a step scores what an arm has trained."""
    return step.config.stage == "benchmark" and not step.shared


def check_arms(command: Command) -> None:
    """Refuse arms that run the same, and those that would be asked other questions."""
    known: dict[tuple[str, ...], str] = {}
    asked: dict[str, tuple[str, dict[str, object]]] = {}
    for arm in command.arms:
        if arm.seed != command.arms[0].seed:
            continue
        steps = resolve(command, Path("RECIPE"), replace(arm, label=BASE))
        other = known.setdefault(tuple(config_hash(step.config) for step in steps), arm.label)
        if other != arm.label:
            raise ValueError(
                f"arms {other} and {arm.label} run with the same settings, so that nothing would "
                "be compared: leave one out, or change something in it."
            )
        for step in filter(_scores, steps):
            label, first = asked.setdefault(step.name, (arm.label, _asked(step.config)))
            odd = [key for key, value in _asked(step.config).items() if value != first[key]]
            if odd:
                raise ValueError(
                    f"{odd[0]} of step {step.name} is {_asked(step.config)[odd[0]]} in arm "
                    f"{arm.label} and {first[odd[0]]} in arm {label}, but arms are compared on the "
                    "same questions, asked alike: give it to all arms, or to the training alone, "
                    f"as STEP:{odd[0]}=..."
                )


def _asked(config: Config) -> dict[str, object]:
    """List what decides which questions a benchmark asks, and how."""
    free = ("checkpoints", "batch_size", "shard", "cache", "clean_view", "group_by")
    own = {f"benchmark.{k}": v for k, v in asdict(config.benchmark).items() if k not in free}
    data = {f"data.{key}": vars(config.data)[key] for key in ("root", "format", "task")}
    return {**own, **data, "model.answer_with": config.model.answer_with}
