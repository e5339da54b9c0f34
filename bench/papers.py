"""Run four papers in miniature, where the truth is known, and print one table for each claim.

    python -m bench.papers vidground --seeds 0 1 2 3 4
    python -m bench.papers audiomcq
    python -m bench.papers omniboost
    python -m bench.papers vepa
    python -m bench.papers distillation

Each arm is one command `python train.py recipe=... seeds=[...]`, with its output beside its
directory, which is named by the arm and by all that the recipe will do: what is finished is not run
again, a killed table goes on with the same command, and other steps or seeds are other runs.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from configs.arms import BASE
from configs.recipe_command import read_command
from configs.recipes import read_recipe
from evaluation.benchmarking.arms import compare_arms
from recipes.steps import identity
from runtime.writing import write_text

TOKENS_A_STEP = 900
"""Of 16 prompts with their answers, about: what a step of the distillation table is worth."""

FILTERS = {"F1": "difficulty", "F2": "quality", "F3": "consistency"}
"""OmniBoost's names, and ours."""


Start = Callable[[Sequence[str], Path], None]
"""Runs `train.py` with these words to its end, its output in this file."""


def train(words: Sequence[str], log: Path, *, threads: int | None) -> None:
    """Run a recipe as by hand, or leave with what was run and where it says why."""
    command = [sys.executable, "train.py", *words]
    limited = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    with log.open("a") as out:
        environment = {**os.environ, **limited}
        done = subprocess.run(command, stdout=out, stderr=out, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: see {log}")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asks for."""

    seeds: Sequence[int]
    steps: int
    jobs: int
    root: Path
    start: Start

    def chains(self, arm: str, recipe: str, *words: str, skip: Iterable[str] = ()) -> list[Path]:
        """Train one arm with all seeds; return the directory of each chain of steps."""
        listed = ",".join(map(str, self.seeds))
        place = self.chain(arm, recipe, f"seeds=[{listed}]", f"jobs={self.jobs}", *words, skip=skip)
        return [place / f"{BASE}-{seed}" for seed in self.seeds]

    def chain(self, arm: str, recipe: str, *words: str, skip: Iterable[str] = ()) -> Path:
        """Run a recipe once, unless its directory says that it is finished; return that."""
        left_out = [f"skip=[{','.join(skip)}]"] if skip else []
        wanted = [f"recipe={recipe}", *words, *left_out]
        name = f"{arm}-{identity(read_command(wanted)).hash}"
        place = self.root / name
        if not (place / "finished").exists():
            self.root.mkdir(parents=True, exist_ok=True)
            places = [f"run.root={self.root}", f"run.name={name}"]
            self.start([*wanted, *places], self.root / f"{name}.log")
        return place

    def before(self, recipe: str, benchmark: str = "benchmark") -> list[Path]:
        """Score what a recipe starts from: once for all seeds, since it is asked greedily."""
        steps = [step.name for step in read_recipe(recipe, "digits").steps]
        others = [step for step in steps if step != benchmark]
        place = self.chain("before", recipe, f"{benchmark}:benchmark.checkpoints=[]", skip=others)
        return [place / benchmark] * len(self.seeds)

    def at_once(self, calls: Iterable[Callable[[], Path]]) -> list[Path]:
        """Make several calls of `chain`, as many at a time as there are jobs."""
        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(lambda call: call(), calls))


def show(asked: Asked, name: str, arms: Mapping[str, Sequence[Path]], baseline: str) -> None:
    """Print a table, and keep its numbers."""
    compared = compare_arms(arms, baseline)
    write_text(asked.root / f"{name}.json", compared.json)
    print(f"{name}\n\n{compared.text}\n", flush=True)


def scored(first: str, *others: str, benchmark: str = "benchmark") -> list[str]:
    """Let a benchmark ask these steps alone, and not what the recipe starts from."""
    names = ",".join(f"@{step}" for step in others)
    settings = [f"init_from=@{first}", f"model.name={first}", f"benchmark.checkpoints=[{names}]"]
    return [f"{benchmark}:{setting}" for setting in settings]


def inside(chains: Iterable[Path], place: str) -> list[Path]:
    """Name the benchmark of each chain, or the file of one checkpoint in it."""
    return [chain / place for chain in chains]


def vidground(asked: Asked) -> None:
    """Does the filter help, against all, as many at random, and what it drops?"""
    controls = ["filtered", "full", "random_same_size", "complement"]
    words = [f"controls=[{','.join(controls)}]", f"rlvr:trainer.max_steps={asked.steps}"]
    place = asked.chains("controls", "vidground", *words, *scored("rlvr"))[0].parent
    arms = {control: [place / f"{control}-{seed}" for seed in asked.seeds] for control in controls}
    show(
        asked,
        "vidground",
        {arm: inside(chains, "benchmark") for arm, chains in arms.items()},
        "filtered",
    )


def audiomcq(asked: Asked) -> None:
    """Do weak and strong questions belong in different stages? As many optimizer steps each."""
    half = [f"{step}:trainer.max_steps={asked.steps}" for step in ("sft", "rlvr")]
    half += scored("rlvr")
    voters = ["voter_2", "voter_3", "probe"]
    all_questions = "data.contribution.rule=none"
    arms = {
        "weak to strong": asked.chains("w2s", "audiomcq_w2s", *half),
        "mixed to strong": asked.chains("m2s", "audiomcq_m2s", *half),
        "mixed to mixed": asked.chains(
            "m2m", "audiomcq_m2s", *half, "rlvr:data.contribution.control=random_same_size"
        ),
        "all SFT": asked.chains(
            "all-sft",
            "audiomcq_w2s",
            f"sft:trainer.max_steps={2 * asked.steps}",
            f"sft:{all_questions}",
            "sft:data.contribution.keep=strong",
            *scored("sft"),
            skip=[*voters, "rlvr"],
        ),
        "all GRPO": asked.chains(
            "all-grpo",
            "audiomcq_w2s",
            f"rlvr:trainer.max_steps={2 * asked.steps}",
            f"rlvr:{all_questions}",
            *scored("rlvr"),
            skip=[*voters, "sft"],
        ),
    }
    rows = {arm: inside(chains, "benchmark") for arm, chains in arms.items()}
    rows["before"] = asked.before("audiomcq_w2s")
    show(asked, "audiomcq", rows, "weak to strong")


def omniboost(asked: Asked) -> None:
    """What does each stage add, and each filter of the last one?"""
    steps = [f"{step}:trainer.max_steps={asked.steps}" for step in ("sft", "rlvr", "distill")]
    early = f"rlvr:rlvr.reward.early_steps={asked.steps * 500 // 1200}"  # as in the paper
    stages = scored("sft", "rlvr", "distill")
    whole = asked.chains("all-stages", "omniboost", *steps, early, *stages)
    arms = {"before": asked.before("omniboost")}
    arms["stage 1, sft"] = inside(whole, "benchmark/sft.jsonl")
    arms["stage 2, rlvr"] = inside(whole, "benchmark/rlvr.jsonl")
    arms["stage 3, distill"] = inside(whole, "benchmark")
    ablated = {f"stage 3 without {name}": [setting] for name, setting in FILTERS.items()}
    ablated["stage 3 without all three"] = [*FILTERS.values()]
    for row, settings in ablated.items():
        off = [f"distill:distill.rejection_sampling.{setting}=false" for setting in settings]
        calls = [
            partial(
                asked.chain,
                f"{row}-{seed}".replace(" ", "-"),
                "omniboost",
                f"init_from={start / 'rlvr' / 'export'}",
                f"seed={seed}",
                steps[-1],
                *off,
                *scored("distill"),
                skip=["sft", "rlvr"],
            )
            for seed, start in zip(asked.seeds, whole, strict=True)
        ]
        arms[row] = inside(asked.at_once(calls), "benchmark")
    show(asked, "omniboost", arms, "stage 3, distill")


def vepa(asked: Asked) -> None:
    """Do descriptions become more telling, and answers better for it?"""
    words = scored("sft")
    steps = f"prealign:trainer.max_steps={asked.steps}"
    others = ["reader", "prealign", "descriptions"]
    aligned = asked.chains("prealigned", "vepa", steps, *words)
    described = asked.chains("described", "vepa", *words, skip=others)
    plain = asked.chains("plain", "vepa", *words, skip=[*others, "describe"])
    descriptions = {
        "after": inside(aligned, "descriptions"),
        "before": inside(aligned, "descriptions/tiny.jsonl"),
    }
    show(asked, "vepa, the blind reader", descriptions, "after")
    answers = {
        "pre-aligned, then SFT": aligned,
        "described, then SFT": described,
        "SFT": plain,
    }
    rows = {arm: inside(chains, "benchmark") for arm, chains in answers.items()}
    rows["before"] = asked.before("vepa")
    show(asked, "vepa, answers", rows, "pre-aligned, then SFT")


def distillation(asked: Asked) -> None:
    """Is a teacher's opinion worth more than as many tokens of right answers? And what of it is
    left where nothing is heard?"""
    tokens = asked.steps * TOKENS_A_STEP
    teacher = asked.chain(
        "teacher", "distillation", *_heard_or_not("teacher"), skip=["sft", "distill"]
    )
    ways = {
        "on policy": [],
        "off policy": ["distill:distill.on_policy_share=0"],
        "on policy, student hears nothing": ["distill:distill.student_view.condition=no_audio"],
    }
    arms = {
        "SFT": asked.chains(
            "sft",
            "distillation",
            f"sft:trainer.max_tokens={tokens}",
            *_heard_or_not("sft"),
            skip=["teacher", "distill"],
        )
    }
    for way, words in ways.items():
        arms[way] = asked.chains(
            way.replace(", ", "-").replace(" ", "-"),
            "distillation",
            f"distill:trainer.max_tokens={tokens}",
            f"distill:distill.teacher={teacher / 'teacher' / 'export'}",
            *words,
            *_heard_or_not("distill"),
            skip=["teacher", "sft"],
        )
    for name, step in (
        ("distillation", "benchmark"),
        ("distillation, asked without sound", "deaf"),
    ):
        rows = {arm: inside(chains, step) for arm, chains in arms.items()}
        rows["before"] = asked.before("distillation", step)
        rows["the teacher"] = [teacher / step] * len(asked.seeds)
        show(asked, name, rows, "on policy")


def _heard_or_not(step: str) -> list[str]:
    """Score a step with sound and without."""
    return [*scored(step), *scored(step, benchmark="deaf")]


TABLES: dict[str, tuple[Callable[[Asked], None], list[int], int]] = {
    "vidground": (vidground, [0, 1, 2, 3, 4], 120),
    "audiomcq": (audiomcq, [0, 1, 2], 100),
    "omniboost": (omniboost, [0, 1, 2], 100),
    "vepa": (vepa, [0, 1, 2], 120),
    "distillation": (distillation, [0, 1, 2], 150),
}
"""What is run, and its seeds and steps unless others are given."""


def main() -> None:
    """Run the arms of one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=[*TABLES])
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--steps", type=int, help="of each stage that is compared")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--root", type=Path, default=Path("runs/papers"))
    given = parser.parse_args()
    run, seeds, steps = TABLES[given.table]
    asked = Asked(
        seeds=given.seeds or seeds,
        steps=given.steps or steps,
        jobs=given.jobs,
        root=given.root / given.table,
        start=partial(train, threads=1 if given.jobs > 1 else None),
    )
    run(asked)


if __name__ == "__main__":
    main()
