"""What ends a run is told before torch is imported, and before the run has a directory."""

import json
import subprocess
import sys
from math import prod
from pathlib import Path

import pytest

from configs.load import load_config
from datamodules.preflight import check_before, check_room, manifests_of, weights_named
from pretrained.tensors import shapes

ROOT = Path(__file__).parents[2]
TRAIN = ("sft", "rlvr", "distill", "prealign")
STAGES = (*TRAIN, "probe", "audit", "clean", "benchmark", "push")
ROW = {"id": "q", "question": "What barks?", "options": ["a cat", "a dog"], "answer": "a dog"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory with manifests of one row."""
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(ROW))
    return tmp_path


def test_neither_torch_nor_its_friends_come_with_the_checks():
    code = (
        "import sys, datamodules.preflight;"
        "sys.exit(bool({'torch', 'lightning', 'transformers', 'scipy'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("words", "manifests"),
    [
        ("stage=sft data.train=a+b", ["a+b"]),
        ("stage=sft trainer.val_check_interval=5", ["train", "val"]),
        ("stage=sft trainer.val_check_interval=5 data.val_share=0.1", ["train"]),
        ("stage=probe probe.split=c", ["c"]),
        ("stage=audit audit.split=c", ["c"]),
        ("stage=clean clean.sets=[c,d] clean.rules=[vidground]", ["c", "d"]),
        ("stage=benchmark benchmark.sets=[c,d]", ["c", "d"]),
        ("stage=push push.run=x push.to=a/b", []),
    ],
)
def test_every_stage_names_the_manifests_that_it_reads(words, manifests):
    assert manifests_of(load_config(words.split(), STAGES)) == manifests


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        ("stage=sft", {"model.path": "assets/tiny"}),
        ("stage=sft init_from=a", {"init_from": "a"}),
        (
            "stage=probe probe.checkpoints=[b]",
            {"probe.checkpoints": "b"},
        ),
        ("stage=benchmark benchmark.checkpoints=[b]", {"benchmark.checkpoints": "b"}),
        ("stage=distill distill.method=on_policy distill.teacher=t", {"distill.teacher": "t"}),
        ("stage=prealign prealign.reader=r", {"prealign.reader": "r"}),
        ("stage=prealign prealign.judge=j", {"prealign.judge": "j"}),
    ],
)
def test_every_stage_names_the_weights_that_it_loads(words, weights):
    found = dict(weights_named(load_config(words.split(), STAGES)))
    assert weights.items() <= found.items()


@pytest.mark.parametrize("stage", ["audit", "clean", "push"])
def test_stages_without_a_model_load_no_weights(stage):
    words = {"clean": ["clean.rules=[vidground]"]}.get(stage, [])
    assert [*weights_named(load_config([f"stage={stage}", *words], STAGES))] == []


MISTAKES = {
    "data.root=nowhere": "There is no directory nowhere",
    "data.train=test": "a test set by its name",
    "run.root=train.jsonl": "train.jsonl is no directory, but run directories",
    "trainer.accelerator=gpu": "trainer.accelerator=gpu, but CUDA_VISIBLE_DEVICES='' hides all",
    "model.path=./nothing": "correct model.path",
    "init_from=runs/nothing/export": "correct init_from",
}


@pytest.mark.parametrize("word", MISTAKES)
def test_a_mistake_is_told_and_leaves_nothing(word, data, monkeypatch):
    monkeypatch.chdir(data)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    there = sorted(data.iterdir())
    with pytest.raises(ValueError) as caught:
        check_before(load_config(["stage=sft", "data=manifest", f"data.root={data}", word], STAGES))
    assert MISTAKES[word] in str(caught.value)
    assert sorted(data.iterdir()) == there


def test_weights_that_no_disk_has_room_for_are_told():
    """By hand: 4 bytes in float32 for each number of the tiny model, 2 in bfloat16."""
    numbers = sum(map(prod, shapes(ROOT / "assets/tiny").values()))
    config = load_config(["stage=sft", f"init_from={ROOT}/assets/tiny"], STAGES)
    check_room(config, free=4 * numbers)
    with pytest.raises(ValueError, match=f"{4 * numbers - 1:,} bytes are free.*{4 * numbers:,}"):
        check_room(config, free=4 * numbers - 1)
    low = ["model.dtype=bfloat16", "model.lora.rank=4"]
    low = load_config(["stage=sft", f"init_from={ROOT}/assets/tiny", *low], STAGES)
    check_room(low, free=2 * numbers)
    check_room(load_config(["stage=sft", "init_from=some/model"], STAGES), free=0)


SERVED = ("stage=probe", "probe.backend=openai", "probe.server.model=m")


def test_a_server_that_is_not_up_is_told_unless_answers_may_be_cached(data, monkeypatch, caplog):
    """Nobody listens at port 9 of this machine."""
    url = "probe.server.url=http://127.0.0.1:9/v1"
    words = ["data=manifest", f"data.root={data}", f"run.root={data}/runs", url]
    config = load_config([*SERVED, *words], STAGES)
    with pytest.raises(ValueError, match=r"cannot be reached .*: start it, or check probe\.server"):
        check_before(config)
    (data / "probes").mkdir()
    (data / "probes/probe=1").touch()
    check_before(config)
    assert "cannot be reached" in caplog.text and "Cached answers are read" in caplog.text


def test_a_key_that_is_not_set_is_told(data, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    words = ["data=manifest", f"data.root={data}", f"run.root={data}/runs"]
    with pytest.raises(ValueError, match="OPENAI_API_KEY holds no key that could be sent"):
        check_before(load_config([*SERVED, *words], STAGES))


def test_a_script_tells_a_mistake_without_a_run_directory(tmp_path):
    words = ["stage=sft", "data=manifest", "data.root=nowhere"]
    command = [sys.executable, ROOT / "train.py", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: There is no directory nowhere")
    assert [*tmp_path.iterdir()] == []
