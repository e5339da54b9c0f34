"""The sweeps that ship: valid, and each optimizes a metric that its runs log."""

import itertools
import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args
from wandb.sdk.lib.config_util import save_config_file_from_dict
from wandb.wandb_agent import Agent

from configs.load import load_config
from datamodules.digits.build import ensure
from tests.small_digits import SMALL
from tests.wandb_files import Starter, logged, records, sessions, starting

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs/sweep").glob("*.yaml"))
TRAIN = ("sft", "rlvr", "distill", "prealign")
TOP = {
    *("name", "project", "program", "method", "run_cap", "metric", "early_terminate"),
    *("parameters", "command"),
}
TINY = [
    *("trainer.max_steps=2", "trainer.val_check_interval=1", "trainer.log_every_n_steps=1"),
    *("trainer.val_limit=4", "trainer.batch_size=2", "trainer.accelerator=cpu"),
    *("rlvr.group_size=2", "rlvr.max_completion_tokens=6", "wandb.media_megabytes=1"),
]
"""Behind the words of a sweep, of which the last one wins: a run of seconds."""


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def corners(sweep: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """List the values of all parameters, each with the first of the others; of ranges the ends."""
    values = {
        key: one["values"] if "values" in one else [one["min"], one["max"]]
        for key, one in sweep["parameters"].items()
    }
    if sweep["method"] == "grid":
        yield from (
            dict(zip(values, drawn, strict=True)) for drawn in itertools.product(*values.values())
        )
        return
    first = {key: own[0] for key, own in values.items()}
    yield from (first | {key: value} for key, own in values.items() for value in own)


def draw(sweep: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Draw parameters as a server does: of values, of a range, or of one whose logarithm counts."""
    drawn: dict[str, Any] = {}
    for key, one in sweep["parameters"].items():
        if "values" in one:
            drawn[key] = rng.choice(one["values"])
        elif one["distribution"] == "uniform":
            drawn[key] = rng.uniform(one["min"], one["max"])
        else:
            assert one["distribution"] == "log_uniform_values"
            drawn[key] = one["min"] * (one["max"] / one["min"]) ** rng.random()
    return drawn


def words_of(sweep: dict[str, Any], drawn: dict[str, Any]) -> list[str]:
    """Write the command of a run as the agent does, from the program on."""
    made = create_sweep_command_args({"args": {key: {"value": v} for key, v in drawn.items()}})
    given = made | {"program": [sweep["program"]], "env": [], "interpreter": []}
    words: list[str] = []
    for word in create_sweep_command([*sweep["command"]]):
        macro = re.fullmatch(r"\$\{(\w+)\}", word)
        words += given[macro[1]] if macro else [word]
    return words


def test_there_is_a_sweep_of_each_method_and_one_that_stops_early():
    sweeps = [read(file) for file in FILES]
    assert sorted(sweep["method"] for sweep in sweeps) == ["bayes", "grid", "random"]
    assert [s["method"] for s in sweeps if s.get("early_terminate")] == ["bayes"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_begins_with_its_command_and_a_caption(file):
    command, caption, *_ = file.read_text().splitlines()
    assert command == f"# wandb sweep configs/sweep/{file.name}"
    assert caption.startswith("# ") and caption.endswith(".")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_is_a_sweep_by_the_rules_of_wandb(file):
    """Those of its schema that apply here; the next test asks the schema itself."""
    sweep = read(file)
    assert sweep.keys() <= TOP
    assert sweep["metric"].keys() == {"name", "goal"} and sweep["metric"]["goal"] == "maximize"
    for key, one in sweep["parameters"].items():
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", key)
        if one.keys() == {"values"}:
            assert len(one["values"]) == len(set(one["values"])) > 1
        else:
            assert one.keys() == {"distribution", "min", "max"}
            assert one["distribution"] in ("uniform", "log_uniform_values")
            # 1e-4 without a point would be a text to YAML
            assert isinstance(one["min"], float) and 0 < one["min"] < one["max"]
    stop = sweep.get("early_terminate", {"type": "hyperband", "min_iter": 1, "eta": 2})
    assert stop.keys() == {"type", "min_iter", "eta"} and stop["type"] == "hyperband"
    assert stop["min_iter"] >= 1 and stop["eta"] >= 2
    assert isinstance(sweep.get("run_cap", 1), int) and sweep.get("run_cap", 1) >= 1


@pytest.mark.skipif("SWEEPS_PYTHON" not in os.environ, reason="names no Python with `sweeps`")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_keeps_the_schema_of_wandb(file):
    """`sweeps` wants an older NumPy, hence an environment of its own: `pip install sweeps`."""
    code = (
        "import json, sys; from sweeps.config import schema_violations_from_proposed_config as v;"
        "print(json.dumps(v(json.load(sys.stdin))))"
    )
    done = subprocess.run(
        [os.environ["SWEEPS_PYTHON"], "-W", "ignore", "-c", code],
        input=json.dumps(read(file)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_draw_is_a_configuration_of_its_own(file, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "a1b2c3d4")
    sweep = read(file)
    script, *fixed = words_of(sweep, {})
    plain = load_config(fixed, TRAIN)
    drawn = [*corners(sweep)]
    found = [load_config(words_of(sweep, one)[1:], TRAIN) for one in drawn]
    assert script == "train.py" and len(drawn) > 5
    assert {config.run.name for config in found} == {"a1b2c3d4"}
    assert {config.logger for config in found} == {"wandb"}
    assert plain.trainer.val_check_interval and plain.trainer.max_steps
    assert len({repr(config) for config in found}) == len({repr(one) for one in drawn})


@pytest.mark.parametrize("macro", ["args_no_hyphens", "args_json_file"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_agent_itself_starts_what_is_tested_here(file, macro, monkeypatch, tmp_path):
    """Of wandb's agent all but the process runs: it fills in the macros, and writes its files."""
    started: list[list[str]] = []

    def start(*, command: list[str], **_: object) -> SimpleNamespace:
        started.append(command)
        return SimpleNamespace()

    monkeypatch.setattr("wandb.wandb_agent.AgentProcess", start)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    for name in ("WANDB_DIR", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
        monkeypatch.setenv(name, "")  # the agent sets them, for this test only
        monkeypatch.delenv(name)
    sweep = read(file)
    drawn = draw(sweep, random.Random(2))
    agent = object.__new__(Agent)
    agent._function, agent._in_jupyter, agent._forward_signals = None, False, True
    agent._run_processes = {}
    wanted = [word.replace("args_no_hyphens", macro) for word in sweep["command"]]
    agent._sweep_command = wanted
    agent._command_run(
        {
            "run_id": "b2c3d4e5",
            "program": sweep["program"],
            "args": {key: {"value": value} for key, value in drawn.items()},
        }
    )
    [[env, python, *words]] = started
    assert (env, python, words[0]) == ("/usr/bin/env", "python", "train.py")
    if macro == "args_no_hyphens":
        assert words == words_of(sweep, drawn)
    found = load_config(words[1:], TRAIN)
    assert found == load_config(words_of(sweep, drawn)[1:], TRAIN)
    assert found.run.name == "b2c3d4e5"


@pytest.mark.parametrize("file", [f for f in FILES if read(f).get("early_terminate")], ids=str)
def test_a_run_validates_often_enough_to_be_stopped_early(file):
    """Hyperband counts how often the metric was logged."""
    sweep = read(file)
    words = [word.replace("${oc.env:WANDB_RUN_ID}", "a") for word in words_of(sweep, {})]
    trainer = load_config(words[1:], TRAIN).trainer
    validations = trainer.max_steps // trainer.val_check_interval
    stop = sweep["early_terminate"]
    assert stop["min_iter"] * stop["eta"] < validations


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    home = tmp_path_factory.mktemp("home")
    with starting(home, os.environ["PATH"]) as found:
        yield found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("data") / "digits"
    ensure(root, sizes=SMALL)
    return ["data=manifest", f"data.root={root}"]


def agent_starts(
    starter: Starter,
    sweep: dict[str, Any],
    drawn: dict[str, Any],
    id_: str,
    cwd: Path,
    data: list[str],
) -> Path:
    """Run a draw as the agent does, and return its run directory."""
    parameters = Path("wandb") / "sweep-s1" / f"config-{id_}.yaml"
    save_config_file_from_dict(
        str(cwd / parameters), {key: {"value": value} for key, value in drawn.items()}
    )
    environ = {
        "WANDB_SWEEP_ID": "s1",
        "WANDB_RUN_ID": id_,
        "WANDB_SWEEP_PARAM_PATH": str(parameters),
        "WANDB_DIR": str(cwd),
    }
    code = starter.start([*words_of(sweep, drawn), *TINY, *data], cwd, **environ)
    assert code == 0, (cwd / "said").read_text()[-3000:]
    return cwd / "runs" / id_


def metrics(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def check_run(run_dir: Path, sweep: dict[str, Any], drawn: dict[str, Any]) -> None:
    """Check that a run had its parameters, logged what its sweep optimizes, and belongs to it."""
    name = sweep["metric"]["name"]
    written = [row[name] for row in metrics(run_dir) if name in row]
    [file] = sessions(run_dir)
    assert len(written) == 2 and logged(file)[name] == written
    settings = yaml.safe_load((run_dir / "config.yaml").read_text())
    for key, value in drawn.items():
        if key not in ("objective", "trainer.batch_size"):  # a group; what makes it tiny
            at = settings
            for part in key.split("."):
                at = at[part]
            assert at == value, key
    [begun] = [record.run for record in records(file) if record.HasField("run")][:1]
    assert (begun.run_id, begun.sweep_id) == (run_dir.name, "s1")
    assert (run_dir / "wandb.id").read_text() == run_dir.name


def test_a_simulated_sweep_of_five_runs_logs_what_it_optimizes(starter, data, tmp_path):
    sweep, rng = read(ROOT / "configs/sweep/random.yaml"), random.Random(0)
    draws = [draw(sweep, rng) for _ in range(5)]
    assert len({repr(drawn) for drawn in draws}) == 5
    for number, drawn in enumerate(draws):
        check_run(
            agent_starts(starter, sweep, drawn, f"run{number}x", tmp_path, data), sweep, drawn
        )
    losses = {
        tuple(row["train/loss"] for row in metrics(each) if "train/loss" in row)
        for each in (tmp_path / "runs").iterdir()
    }
    assert len(losses) == 5  # what was drawn took effect
    assert [*starter.home.rglob("*")] == []


@pytest.mark.parametrize("method", ["grid", "bayes"])
def test_a_run_of_each_other_sweep_logs_what_it_optimizes(starter, data, tmp_path, method):
    sweep = read(ROOT / f"configs/sweep/{method}.yaml")
    drawn = draw(sweep, random.Random(1))
    check_run(agent_starts(starter, sweep, drawn, "b2c3d4e5", tmp_path, data), sweep, drawn)
    assert [*starter.home.rglob("*")] == []
