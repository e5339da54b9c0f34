"""Tests of the recipes that ship: that each resolves, and holds the numbers of its paper."""

import json
import re
from pathlib import Path

import pytest

from bench.papers import TABLES, Asked
from configs.benchmark import parse_condition
from configs.recipe_command import read_command
from configs.recipes import RECIPES
from configs.schema import Config
from recipes.steps import Step, resolve

FILES = sorted(RECIPES.glob("*/*.yaml"))
PAPERS = ("audiomcq_m2s", "audiomcq_w2s", "omniboost", "vepa", "vidground")
TRAINING = ("sft", "rlvr", "distill", "prealign")


def steps_of(file: Path, *words: str) -> list[Step]:
    given = ["data.root=somewhere"] if file.stem == "paper" else []
    command = read_command([f"recipe={file.parent.name}", f"scale={file.stem}", *given, *words])
    return resolve(command, Path("here"), *command.arms[:1])


def config_of(recipe: str, scale: str, step: str) -> Config:
    steps = steps_of(RECIPES / recipe / f"{scale}.yaml")
    return next(one.config for one in steps if one.name == step)


def name(file: Path) -> str:
    return f"{file.parent.name}-{file.stem}"


def test_every_paper_has_both_sizes():
    assert {f"{paper}-{scale}" for paper in PAPERS for scale in ("digits", "paper")} <= {
        *map(name, FILES)
    }


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_recipe_resolves_and_ends_in_a_benchmark(file):
    steps = steps_of(file)
    assert steps[-1].config.stage == "benchmark"
    assert any(step.config.stage in TRAINING for step in steps)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_recipe_says_how_it_is_run_and_what_it_does(file):
    how, what, *_ = file.read_text().splitlines()
    assert how.startswith(f"# python train.py recipe={file.parent.name}")
    assert ("scale=paper" in how) == (file.stem == "paper")
    assert what.startswith("# ") and what.endswith(").")  # the paper's arXiv number


@pytest.mark.parametrize("file", FILES, ids=name)
def test_lines_are_no_longer_than_those_of_code(file):
    assert max(map(len, file.read_text().splitlines())) <= 100


@pytest.mark.parametrize("file", [file for file in FILES if file.stem == "paper"], ids=name)
def test_every_number_of_a_paper_has_its_source(file):
    lines = file.read_text().splitlines()
    numbers = [line for line in lines if re.match(r"\s+[\w.]+: [\d.]+(e-?\d+)?(\s|$)", line)]
    bare = [line for line in numbers if "#" not in line]
    assert len(numbers) > 10
    assert not bare


@pytest.mark.parametrize("file", [file for file in FILES if file.stem == "digits"], ids=name)
def test_the_embedded_size_takes_minutes(file):
    steps = steps_of(file)
    trained = [s.config.trainer.max_steps for s in steps if s.config.stage in TRAINING]
    tokens = [s.config.trainer.max_tokens for s in steps]
    assert {step.config.model.name for step in steps} == {"tiny"}
    assert sum(trained) <= (800 if not any(tokens) else 3000)
    assert all(s.config.benchmark.limit == 1000 for s in steps if s.config.stage == "benchmark")


@pytest.mark.parametrize("scale", ["digits", "paper"])
def test_mixed_to_strong_differs_from_weak_to_strong_in_what_it_imitates(scale):
    for step in ("sft", "rlvr"):
        weak, mixed = (config_of(f"audiomcq_{way}", scale, step) for way in ("w2s", "m2s"))
        controls = (weak.data.contribution.control, mixed.data.contribution.control)
        assert controls == ("filtered", "random_same_size" if step == "sft" else "filtered")
        assert weak.data.contribution.keep == mixed.data.contribution.keep
        assert weak.rlvr == mixed.rlvr


def test_omniboost_has_the_numbers_of_its_paper():
    config = config_of("omniboost", "paper", "rlvr")
    rlvr, trainer, reward = config.rlvr, config.trainer, config.rlvr.reward
    assert (rlvr.group_size, rlvr.max_completion_tokens, rlvr.kl.coef) == (16, 4096, 0)
    assert (trainer.batch_size * trainer.accumulate_grad_batches, trainer.max_steps) == (32, 1200)
    assert (reward.early_steps, reward.early_format, reward.early_accuracy) == (500, 0.8, 0.2)
    assert (reward.format, reward.accuracy) == (0.1, 0.9)
    traces = config_of("omniboost", "paper", "distill").distill.rejection_sampling
    assert (traces.samples, traces.min_correct, traces.max_correct) == (8, 1, 6)


def test_vidground_has_the_numbers_of_its_paper():
    config = config_of("vidground", "paper", "rlvr")
    rlvr, optim, trainer = config.rlvr, config.optim, config.trainer
    assert (rlvr.group_size, rlvr.max_completion_tokens, rlvr.kl.coef) == (8, 768, 0.04)
    assert (rlvr.objective.clip_low, rlvr.objective.loss_aggregation) == (0.2, "token")
    assert (rlvr.reward.temporal, rlvr.reward.length) == (0.3, 0.2)
    assert (optim.lr, optim.schedule, optim.max_grad_norm) == (1e-6, "cosine", 5)
    assert (trainer.max_steps, trainer.devices, config.data.media.video_max_frames) == (700, 8, 16)


def test_audiomcq_has_the_numbers_of_its_scripts():
    config = config_of("audiomcq_w2s", "paper", "rlvr")
    rlvr = config.rlvr
    assert (rlvr.group_size, rlvr.temperature, rlvr.top_k, rlvr.kl.coef) == (8, 1.5, 4, 0.001)
    assert (rlvr.reward.accuracy, rlvr.reward.format) == (2.0, 0.5)
    assert (config.trainer.batch_size, config.trainer.accumulate_grad_batches) == (1, 1)
    imitated = config_of("audiomcq_w2s", "paper", "sft").trainer
    assert (imitated.batch_size, imitated.accumulate_grad_batches, imitated.max_steps) == (
        20,
        1,
        750,
    )
    assert config.trainer.max_steps == 100
    chosen = [config_of("audiomcq_m2s", "paper", step).trainer.max_steps for step in TRAINING[:2]]
    assert chosen == [1000, 900]


def test_vepa_has_the_numbers_of_its_paper():
    config = config_of("vepa", "paper", "prealign")
    rlvr, optim = config.rlvr, config.optim
    assert (rlvr.group_size, rlvr.temperature, rlvr.kl.coef) == (4, 0.9, 0.01)
    assert (optim.lr, optim.schedule) == (1e-6, "constant")
    assert optim.warmup_steps == 0.05 * config.trainer.max_steps
    assert config.prealign.reader == "Qwen/Qwen2.5-7B-Instruct"


def test_controls_change_only_the_steps_that_filter():
    file = RECIPES / "audiomcq_w2s" / "digits.yaml"
    steps = {step.name: step for step in steps_of(file, "controls=[complement]", "seeds=[3]")}
    changed = [
        name
        for name, step in steps.items()
        if step.config.data.contribution.control == "complement"
    ]
    assert changed == ["sft", "rlvr"]
    assert (steps["probe"].config.seed, steps["rlvr"].config.seed) == (0, 3)


def leave(words, log: Path) -> None:
    """Leave in the place of every step what a table reads of it, untrained."""
    command = read_command([*words])
    assert command.name is not None
    for arm in command.arms or (None,):
        for step in resolve(command, command.root / command.name, arm):
            config, folder = step.config, step.dir
            folder.mkdir(parents=True, exist_ok=True)
            start = config.init_from or config.model.path
            where = f"init_from: {start}\ndata:\n  root: {folder}\n"
            (folder / "config.yaml").write_text(where)
            if config.stage in TRAINING:
                row = {"step": config.trainer.max_steps, "train/tokens": 1000}
                (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n")
            if config.stage == "benchmark":
                paths = {Path(path).parent.name: path for path in config.benchmark.checkpoints}
                setting, by = config.benchmark.conditions[0], config.benchmark.grade_by
                condition, how = parse_condition(setting)
                asked = {"set": "test", "condition": condition, "how": how, "order": 0}
                about = {"id": "q", "content_hash": "h", "asset_id": "a"}
                answer = {**asked, **about, "correct": True}
                checkpoints = {config.model.name: start, **paths}
                results = {"sets": ["test"], "conditions": [setting], "by": by}
                results["checkpoints"] = checkpoints
                (folder / "results.json").write_text(json.dumps(results))
                for name in checkpoints:
                    (folder / f"{name}.jsonl").write_text(json.dumps(answer) + "\n")
    (command.root / command.name / "finished").touch()


@pytest.mark.parametrize("table", [*TABLES])
def test_every_arm_of_every_table_is_a_command_that_resolves(table, tmp_path, capsys):
    """And what it leaves is where the table looks for it."""
    asked = Asked(seeds=[0, 4], steps=60, jobs=2, root=tmp_path / table, start=leave)
    TABLES[table][0](asked)
    assert "seeds: 2" in capsys.readouterr().out
    assert list(asked.root.glob("*.json"))


@pytest.mark.parametrize(
    ("table", "checkpoints"),
    [
        ("vidground", 4 * 2),
        ("audiomcq", 1 + 5 * 2),
        ("omniboost", 1 + 3 * 2 + 4 * 2),
        ("vepa", 1 + 3 * 2 + 2 * 2),
        ("distillation", 2 * (1 + 1 + 4 * 2)),  # with sound and without
    ],
)
def test_a_table_scores_what_it_compares_and_where_all_began_once(table, checkpoints, tmp_path):
    TABLES[table][0](Asked(seeds=[0, 4], steps=60, jobs=2, root=tmp_path, start=leave))
    found = [json.loads(file.read_text()) for file in tmp_path.rglob("results.json")]
    assert sum(len(results["checkpoints"]) for results in found) == checkpoints


def test_only_what_is_finished_with_the_same_steps_and_seeds_is_not_run_again(tmp_path):
    ran: list[str] = []

    def start(words, log: Path) -> None:
        ran.append(log.stem)
        leave(words, log)

    def vidground(*, seeds: list[int], steps: int, jobs: int = 1) -> list[str]:
        ran.clear()
        TABLES["vidground"][0](
            Asked(seeds=seeds, steps=steps, jobs=jobs, root=tmp_path, start=start)
        )
        return [*ran]

    first = vidground(seeds=[0, 1], steps=100)
    assert len(first) == 1
    assert vidground(seeds=[0, 1], steps=100, jobs=2) == []
    others = vidground(seeds=[0, 1], steps=60) + vidground(seeds=[0, 1, 2], steps=100)
    assert len({*first, *others}) == 3
    (tmp_path / first[0] / "finished").unlink()
    assert vidground(seeds=[0, 1], steps=100) == first
    rows = json.loads((tmp_path / "vidground.json").read_text())["rows"]
    assert {row["steps"] for row in rows} == {100}


def steps_by_arm(table: str, root: Path) -> dict[str, float]:
    asked = Asked(seeds=[0], steps=60, jobs=1, root=root, start=leave)
    TABLES[table][0](asked)
    rows = json.loads((root / f"{table}.json").read_text())["rows"]
    return {row["arm"]: row["steps"] for row in rows}


@pytest.mark.parametrize("table", ["vidground", "audiomcq"])
def test_arms_that_differ_in_their_questions_are_trained_for_as_many_steps(table, tmp_path):
    steps = steps_by_arm(table, tmp_path)
    assert {arm: n for arm, n in steps.items() if n} == dict.fromkeys(
        (arm for arm in steps if arm != "before"), 60 if table == "vidground" else 120
    )


def test_each_ablated_filter_starts_from_the_second_stage(tmp_path):
    """Three stages of 60 steps, each a row; without a filter the last one is another."""
    steps = steps_by_arm("omniboost", tmp_path)
    assert [steps["before"], *(n for arm, n in steps.items() if arm != "before")] == [
        0,
        60,
        120,
        *[180] * 5,
    ]
