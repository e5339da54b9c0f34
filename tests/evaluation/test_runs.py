"""The list of runs, and the removal of those that never began."""

import json
from pathlib import Path

import pytest

from configs.load import load_config
from configs.schema import Config
from evaluation.runs import list_runs
from runtime.metrics_log import MetricsLog
from runtime.runs import FAILED, Identity, Run, open_run, take

STAGES = ("sft", "rlvr", "distill", "probe", "runs")


def config(root: Path, *words: str) -> Config:
    return load_config([f"run.root={root}", *words], STAGES)


def begin(root: Path, *words: str) -> Run:
    return open_run(config(root, *words))


def table(root: Path, *words: str) -> dict[str, list[str]]:
    """The rows of the list, by the name of the run."""
    lines = list_runs(config(root, "stage=runs", *words)).splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines if " " in line}


def test_every_state_is_told(tmp_path):
    begin(tmp_path, "stage=sft", "run.name=never").close()
    done = begin(tmp_path, "stage=probe", "run.name=done")
    done.finish()
    stopped = begin(tmp_path, "stage=rlvr", "run.name=stopped", "objective=gspo")
    MetricsLog(stopped.dir / "metrics.jsonl").append(10, {"train/reward": 0.25, "train/loss": 3.0})
    stopped.close()
    with (
        pytest.raises(ValueError, match="spoiled"),
        begin(tmp_path, "stage=distill", "run.name=failed") as failed,
    ):
        (failed.dir / "traces.jsonl").touch()
        raise ValueError("spoiled")
    running = begin(tmp_path, "stage=sft", "run.name=running", "model=qwen2_5_vl_3b")
    found = table(tmp_path)
    running.close()
    assert found["never"] == ["sft", "tiny", "-", "-", "-", "never", "began"]
    assert found["done"] == ["probe", "tiny", "-", "-", "-", "finished"]
    assert found["stopped"] == ["rlvr", "tiny", "gspo", "10", "train/reward", "0.25", "stopped"]
    assert found["failed"] == ["distill", "tiny", "self", "-", "-", "failed"]
    assert found["running"] == ["sft", "qwen2_5_vl_3b", "-", "-", "-", "running"]
    assert (tmp_path / "failed" / FAILED).read_text() == "spoiled\n"


def test_a_run_that_goes_on_has_not_failed(tmp_path):
    with pytest.raises(ZeroDivisionError), begin(tmp_path, "stage=sft", "run.name=a") as run:
        (run.dir / "metrics.jsonl").touch()
        raise ZeroDivisionError
    begin(tmp_path, "stage=sft", "run.name=a").close()
    assert table(tmp_path)["a"][-1] == "stopped"


def test_the_newest_row_that_tells_something_is_shown(tmp_path):
    """Validation tells more than the loss; the last line is torn, and the one before has none."""
    run = begin(tmp_path, "stage=sft", "run.name=a")
    rows = [{"step": 5, "val/accuracy": 0.5, "train/loss": 1.0}, {"step": 6, "seconds": 1.0}]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (run.dir / "metrics.jsonl").write_text(f'{text}{{"step": 7, "val/acc')
    run.close()
    assert table(tmp_path)["a"][3:] == ["5", "val/accuracy", "0.5", "stopped"]


def test_steps_of_recipes_are_listed_below_them(tmp_path):
    identity = Identity(hash="0123abcd", text="a:\n- b\n", command="python train.py recipe=vepa")
    with take(tmp_path, "vepa", "vepa", identity) as recipe:
        begin(recipe.dir / "filtered-0", "stage=sft", "run.name=step").finish()
    found = table(tmp_path)
    assert found["vepa"][:2] == ["recipe=vepa", "-"]
    assert found["vepa/filtered-0/step"][0] == "sft"
    words = "python train.py stage=sft 'arms=[optim.lr=1e-4,optim.lr=1e-3]'"
    take(tmp_path, "b", "b", Identity(hash="0", text="a:\n- b\n", command=words)).close()
    assert table(tmp_path)["b"][0] == "arms"


def test_only_what_never_began_is_removed(tmp_path):
    for name in ("never", "held", "begun"):
        run = begin(tmp_path, "stage=sft", f"run.name={name}")
        if name == "held":
            held = run
        else:
            run.close()
    (tmp_path / "begun/quarantine.jsonl").touch()
    (tmp_path / "foreign").mkdir()
    told = list_runs(config(tmp_path, "stage=runs", "clean=true"))
    held.close()
    assert f"removed {tmp_path / 'never'}: it never began" in told
    assert sorted(place.name for place in tmp_path.iterdir()) == ["begun", "foreign", "held"]


def test_no_runs_are_told(tmp_path):
    assert (
        list_runs(config(tmp_path / "no", "stage=runs")) == f"There are no runs in {tmp_path}/no."
    )


def test_only_the_list_cleans(tmp_path):
    with pytest.raises(ValueError, match=r"run\.clean is true, but stage=sft removes no"):
        config(tmp_path, "stage=sft", "clean=true")
