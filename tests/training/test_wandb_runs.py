"""Whole runs with Weights & Biases offline, nothing configured, and a home that stays empty."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datamodules.digits.build import ensure
from evaluation.benchmarking.wandb_scores import COLUMNS
from tests.mortal import mortal
from tests.small_digits import SMALL
from tests.wandb_files import ROOT, Starter, logged, records, sessions, starting
from training.callbacks import rollouts

SHORT = ["trainer.batch_size=2", "trainer.accelerator=cpu", "logger=wandb"]
RLVR = ["train.py", "stage=rlvr", *SHORT, "rlvr.group_size=2", "rlvr.max_completion_tokens=6"]


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    with starting(tmp_path_factory.mktemp("home"), os.environ["PATH"]) as found:
        yield found
    assert [*found.home.rglob("*")] == []


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("data") / "digits"
    ensure(root, sizes=SMALL)
    return ["data=manifest", f"data.root={root}"]


def run(starter: Starter, cwd: Path, *words: str, temporary: Path | None = None) -> Path:
    """Run a command to its end, and return its run directory."""
    given = {"TMPDIR": str(temporary)} if temporary else {}
    assert starter.start([*words], cwd, **given) == 0, (cwd / "said").read_text()[-3000:]
    [found] = (cwd / "runs").iterdir()
    return found


def staged(run_dir: Path) -> list[Path]:
    """List the files that wait to be sent, in their order: tables, and the media in them."""
    files = run_dir.glob("wandb/data/artifacts/staging/*")
    return sorted(files, key=lambda file: file.stat().st_mtime_ns)


def tables(run_dir: Path, column: str) -> list[dict[str, Any]]:
    """Read the tables with a column that wait to be sent, each once: wandb stages two of each."""
    texts = [file for file in staged(run_dir) if file.read_bytes()[:1] == b"{"]
    found = [json.loads(file.read_text()) for file in texts]
    return [
        one
        for number, one in enumerate(found)
        if column in one["columns"] and one not in found[:number]
    ]


@pytest.fixture(scope="module")
def sampled(starter, data, tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("sampled")
    words = ["trainer.max_steps=2", "trainer.log_every_n_steps=1", "rlvr.log_rollouts_every=1"]
    return run(starter, cwd, *RLVR, *words, *data)


def test_rollouts_are_tables_with_players(sampled):
    """Two prompts of two completions, after each of two steps."""
    found = tables(sampled, "step")
    assert len(found) == 2
    for step, shown in enumerate(found, start=1):
        assert shown["columns"][: len(rollouts.COLUMNS)] == [*rollouts.COLUMNS]
        assert [row[0] for row in shown["data"]] == [step] * 4
    kinds = {
        cell["_type"]
        for shown in found
        for row in shown["data"]
        for cell in row
        if type(cell) is dict
    }
    assert kinds and kinds <= {"audio-file", "image-file", "video-file"}
    written = [json.loads(line) for line in (sampled / "rollouts.jsonl").read_text().splitlines()]
    texts = [said["text"] for row in written for said in row["completions"]]
    assert [row[5] for shown in found for row in shown["data"]] == texts


def test_the_players_are_the_media_of_their_row(sampled):
    """A column of a kind has a player exactly where the question has such a medium."""
    written = [json.loads(line) for line in (sampled / "rollouts.jsonl").read_text().splitlines()]
    media = {row["id"]: row["media"] for row in written}
    for shown in tables(sampled, "step"):
        for row in shown["data"]:
            cells = row[len(rollouts.COLUMNS) :]
            captions = [cell["caption"].split(",")[0] for cell in cells if cell is not None]
            assert sorted(captions) == sorted(media[row[1]])


def test_all_that_waits_to_be_sent_lies_beside_the_run(sampled):
    assert staged(sampled) and not (sampled / "wandb/players").exists()
    assert sum(file.stat().st_size for file in staged(sampled)) < 16e6


def test_metrics_and_timings_are_sent_as_they_are_written(sampled):
    [file] = sessions(sampled)
    found = logged(file)
    for name in ("metrics", "timings"):
        rows = [json.loads(line) for line in (sampled / f"{name}.jsonl").read_text().splitlines()]
        assert rows
        for key in {key for row in rows for key in row} - {"step"}:
            assert found[key] == [row[key] for row in rows if key in row], key


@pytest.fixture(scope="module")
def scored(starter, data, tmp_path_factory) -> Path:
    cwd, temporary = tmp_path_factory.mktemp("scored"), tmp_path_factory.mktemp("temporary")
    words = ["eval.py", "stage=benchmark", "logger=wandb", "benchmark.limit=9", "wandb.questions=3"]
    small = ["benchmark.batch_size=9"]
    found = run(starter, cwd, *words, *small, *data, temporary=temporary)
    assert [*temporary.iterdir()] == []  # temporary files are removed
    return found


def test_a_benchmark_sends_the_scores_of_its_results(scored):
    [file] = sessions(scored)
    found, [line] = logged(file), json.loads((scored / "results.json").read_text())["lines"]
    place = f"benchmark/test/{line['checkpoint']}"
    assert found[f"{place}/accuracy"] == [line["score"]["mean"]]
    assert found[f"{place}/accuracy_low"] == [line["score"]["low"]]
    assert found[f"{place}/accuracy_high"] == [line["score"]["high"]]
    assert found[f"{place}/n"] == [9]
    for name in ("unparsed", "missing", "first_option", "longest_option", "text_only"):
        assert found[f"{place}/{name}"] == [line[name]]
    assert f"{place}/all_orders" not in found  # of one order nothing is known


def test_a_benchmark_shows_some_questions_with_answer_verdict_and_players(scored):
    """Three of nine: the first, the fourth and the seventh."""
    [shown] = tables(scored, "checkpoint")
    [answers] = scored.glob("tiny.jsonl")
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    full = [row for row in rows if row["condition"] == "full"]
    assert shown["columns"][: len(COLUMNS)] == [*COLUMNS]
    found = [dict(zip(shown["columns"], row, strict=True)) for row in shown["data"]]
    assert [row["id"] for row in found] == [full[n]["id"] for n in (0, 3, 6)]
    for row, wrote in zip(found, (full[n] for n in (0, 3, 6)), strict=True):
        for name in ("question", "gold", "completion", "extracted", "correct", "missing"):
            assert row[name] == wrote[name], name
        assert row["options"] == " | ".join(wrote["options"])
        players = [
            value for name, value in row.items() if name not in COLUMNS and value is not None
        ]
        captions = [player["caption"].split(",")[0] for player in players]
        assert sorted(captions) == sorted(wrote["media"])
    assert staged(scored)


def test_a_benchmark_that_wandb_fails_goes_on(starter, data, tmp_path):
    """Its directory for what is staged is taken by a file."""
    words = ["eval.py", "stage=benchmark", "logger=wandb", "benchmark.limit=2", "run.name=x"]
    taken = tmp_path / "runs/x/wandb"
    taken.mkdir(parents=True)
    (taken / "data").write_text("")
    found = run(starter, tmp_path, *words, *data)
    said = (tmp_path / "said").read_text()
    assert said.count("wandb takes no scores (") == 1 and "results.json has all" in said
    assert (found / "finished").exists() and (found / "results.json").exists()


def warn_after(row: Path, pid: Path) -> None:
    """Send the warning of a cluster once a run has written a row."""
    latest = time.monotonic() + 120
    while not row.exists() and time.monotonic() < latest:
        time.sleep(0.05)
    os.kill(int(pid.read_text()), signal.SIGUSR1)


def test_a_warned_run_offers_its_parameters_again_and_goes_on_under_its_id(starter, data, tmp_path):
    """As `wandb agent` does where the time limit nears, and the next one after it."""
    steps = ["trainer.max_steps=60", "trainer.log_every_n_steps=1", "rlvr.log_rollouts_every=0"]
    words = [*RLVR, *steps, *data, "run.name=${oc.env:WANDB_RUN_ID}"]
    environ = {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "c0ffee77"}
    found = tmp_path / "runs/c0ffee77"
    warning = threading.Thread(
        target=warn_after, args=(found / "metrics.jsonl", tmp_path / "pid"), daemon=True
    )
    warning.start()
    assert starter.start(words, tmp_path, **environ) == 138, (tmp_path / "said").read_text()[-3000:]
    done = len((found / "metrics.jsonl").read_text().splitlines())
    assert 0 < done < 60 and len([*found.glob("checkpoints/*.ckpt")]) == 1
    assert starter.start(words, tmp_path, **environ) == 0, (tmp_path / "said").read_text()[-3000:]
    first, second = ([*records(file)] for file in sessions(found))
    assert [one.HasField("preempting") for one in first].count(True) == 1
    assert [one.exit.exit_code for one in first if one.HasField("exit")] == [138]
    assert not any(one.HasField("preempting") for one in second)
    ids = {one.run.run_id for one in (*first, *second) if one.HasField("run")}
    assert ids == {"c0ffee77"} and (found / "wandb.id").read_text() == "c0ffee77"
    steps_of = [
        json.loads(line)["step"] for line in (found / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps_of == [*range(1, 61)]


AGENT = """
import os, sys
from wandb.wandb_agent import AgentProcess
process = AgentProcess(env=dict(os.environ), command=sys.argv[1:], forward_signals=True)
print("begun", flush=True)
print("ended with", process.wait(), flush=True)
"""


def test_the_agent_of_wandb_passes_the_warning_on_and_outlives_it():
    """As configs/slurm/agent.sbatch asks of it, to which SLURM sends USR1."""
    heard = "trap 'exit 41' USR1; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [sys.executable, "-c", AGENT, "bash", "-c", heard],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=mortal,
    )
    assert process.stdout is not None
    assert {process.stdout.readline(), process.stdout.readline()} == {"begun\n", "ready\n"}
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=60)[0] == "ended with 41\n"
    assert "--forward-signals" in (ROOT / "configs/slurm/agent.sbatch").read_text()
