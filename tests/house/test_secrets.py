"""Keys are planted where there may be some, every stage runs, and all that it wrote is searched."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from tests.canaries import CANARIES, Read, forms, look, packed, search
from tests.evaluation.probing.test_openai_client import Reply, refused, said, serving
from tests.mortal import mortal

ROOT = Path(__file__).parents[2]
KEY = CANARIES["SERVED_MODEL_KEY"]

NURSERY = """
import json, os, sys
import eval, train
import evaluation.auditing.clean, evaluation.auditing.stage
import evaluation.benchmarking.stage, evaluation.probing.stage, training.run
from runtime.console import run_to_exit
from tests.mortal import mortal

def broken(*_):
    raise KeyError(os.environ["OPENAI_API_KEY"], dict(os.environ))

for line in sys.stdin:
    script, *words = json.loads(line)
    if os.fork() == 0:
        mortal()
        out = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2), os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if "bug" in words:
            training.run.build_module = broken
        sys.argv = [script, *(word for word in words if word != "bug")]
        run_to_exit({"train.py": train, "eval.py": eval}[script].main)
        sys.exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


def write_data(root: Path) -> None:
    """Write a few questions about pictures and sounds."""
    rng = np.random.default_rng(0)
    root.mkdir()
    for split in ("train", "val", "test"):
        for name in "AB":
            picture = Image.fromarray(rng.integers(0, 255, (28, 28, 3), np.uint8))
            picture.save(root / f"{split}{name}.png")
            soundfile.write(root / f"{split}{name}.wav", rng.normal(0, 0.1, 8000), 16000)
        rows = [
            {
                "id": f"{split}{number}",
                "question": f"{split}: which one is it, number {number}?",
                "options": ["a cat", "a dog"],
                "answer": "AB"[number % 2],
                "media": [
                    {"modality": "image", "path": f"{split}{'AB'[number % 2]}.png"},
                    {"modality": "audio", "path": f"{split}{'AB'[number // 2 % 2]}.wav"},
                ],
            }
            for number in range(8)
        ]
        (root / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def plant(home: Path, work: Path, model: Path) -> set[Path]:
    """Write keys where people and libraries keep them."""
    texts = {
        home / ".netrc": f"machine api.wandb.ai\n  login user\n  password {CANARIES['netrc']}\n",
        home / ".config/wandb/settings": f"[default]\napi_key = {CANARIES['wandb settings']}\n",
        home / ".cache/huggingface/token": CANARIES["token file"],
        home / ".git-credentials": f"https://me:{CANARIES['git remote']}@github.com\n",
        home / ".aws/credentials": "".join(
            f"{name.lower()} = {CANARIES[name]}\n"
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        ),
        work / ".env": f"SERVED_MODEL_KEY={KEY}\nOTHER={CANARIES['dotenv']}\n",
        model / ".env": f"TOKEN={CANARIES['model']}\n",
        model / "training_args.json": json.dumps({"hub_token": CANARIES["model"]}),
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    subprocess.run(["git", "init", "-q", work], check=True)
    address = f"https://{CANARIES['git remote']}:x-oauth-basic@github.com/a/b"
    subprocess.run(["git", "-C", work, "remote", "add", "origin", address], check=True)
    commit = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-mx"]
    subprocess.run(["git", "-C", work, *commit], check=True)
    return {*texts, work / ".git/config"}


def environment(home: Path, temporary: Path) -> dict[str, str]:
    """Put keys into the environment of the runs."""
    names = [name for name in CANARIES if name.isupper() and name != "HTTPS_PROXY"]
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        **{name: CANARIES[name] for name in names},
        "HTTPS_PROXY": f"http://me:{CANARIES['HTTPS_PROXY']}@127.0.0.1:9",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "WANDB_MODE": "offline",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }


TRAINING = ["trainer.max_steps=2", "trainer.batch_size=2", "trainer.log_every_n_steps=1"]
LORA = "model.lora.rank=2"
SHORT = ["rlvr.group_size=2", "rlvr.max_completion_tokens=6", "rlvr.log_rollouts_every=1", LORA]
TRACES = [
    f"distill.rejection_sampling.{key}=false"
    for key in ("only_correct", "difficulty", "consistency")
]
SERVED = ["stage=probe", "probe.backend=openai", "probe.server.key_variable=SERVED_MODEL_KEY"]
SERVED += ["probe.server.retries=0", "probe.server.model=echo", "probe.conditions=[full]"]


def commands(echo: str, refusing: str) -> dict[str, list[str]]:
    """List what is run: every stage, and what ends before its end."""
    train, evaluate = ["train.py", *TRAINING], ["eval.py"]
    return {
        "sft": [
            *train,
            "stage=sft",
            "logger=wandb",
            "trainer.val_check_interval=1",
            "run.name=sft",
        ],
        "rlvr": [*train, "stage=rlvr", "logger=wandb", *SHORT],
        "distill": [*train, "stage=distill", "distill.rejection_sampling.samples=2", *TRACES, LORA],
        "prealign": [*train, "stage=prealign", *SHORT],
        "probe": [
            *evaluate,
            "stage=probe",
            "probe.stop_when_decided_by=vidground",
            "probe.split=test",
        ],
        "served": [*evaluate, *SERVED, f"probe.server.url={echo}"],
        "refused": [*evaluate, *SERVED, f"probe.server.url={refusing}", "probe.seed=3"],
        "preview": [*evaluate, "stage=preview", "preview.measured=2"],
        "audit": [*evaluate, "stage=audit"],
        "clean": [*evaluate, "stage=clean", "clean.rules=[vidground]"],
        "benchmark": [*evaluate, "stage=benchmark", "benchmark.limit=4", "logger=wandb"],
        "push": [*evaluate, "stage=push", "push.run=runs/sft", "--push-to-hub=me/model"],
        "bug": [*train, "stage=sft", "seed=5", "bug"],
        "recipe": ["train.py", "recipe=vidground", "init_from=nowhere"],
        "key as a name": [*train, "stage=sft", f"run.name={CANARIES['HF_TOKEN']}"],
        "key of no form": [*evaluate, "stage=audit", f"run.name={KEY}"],
    }


ENDS = {"served": 1, "refused": 1, "push": 1, "bug": 1, "recipe": 1}
"""Codes of those that fail; words with keys are not understood, 2, and the rest ends well."""


@dataclass
class Runs:
    """What was run, and what it left."""

    codes: dict[str, int]
    read: Read
    said: str


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    root = tmp_path_factory.mktemp("planted")
    home, work, temporary, model = (root / name for name in ("home", "work", "tmp", "model"))
    for folder in (home, work, temporary):
        folder.mkdir()
    shutil.copytree(ROOT / "assets/tiny", model)
    write_data(work / "data")
    planted = plant(home, work, model)

    def echo(number: int, _: object) -> Reply:
        heard = f"you sent {repeating.keys[-1]}"
        return said(f"<answer>A</answer> {heard}") if number % 4 else refused(400, heard)

    def refuse(number: int, _: object) -> Reply:
        return refused(401, f"no such key: {refusing.keys[-1]}")

    codes: dict[str, int] = {}
    with serving(echo) as repeating, serving(refuse) as refusing:
        process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            cwd=work,
            env=environment(home, temporary),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=mortal,
        )
        assert process.stdin is not None and process.stdout is not None
        for name, words in commands(repeating.url, refusing.url).items():
            common = ["data=manifest", "data.root=data", f"model.path={model}"]
            print(json.dumps([*words, *common]), file=process.stdin, flush=True)
            codes[name] = int(process.stdout.readline())
        process.kill()
        process.communicate()
    read = search(root, planted)
    yield Runs(codes=codes, read=read, said=(work / "said").read_text())


def test_no_key_is_in_anything_that_was_written(runs):
    assert runs.read.found == []


def test_every_stage_ran_or_failed_as_it_should(runs):
    ends = {name: ENDS.get(name, 2 if name.startswith("key") else 0) for name in runs.codes}
    assert runs.codes == ends, runs.said[-5000:]
    assert "HF_HUB_OFFLINE=1 forbids to ask the hub, but me/model" in runs.said
    assert "Traceback" in runs.said and "'OPENAI_API_KEY': '***'" in runs.said
    assert "(not shown, since it repeats the key)" in runs.said


def test_all_kinds_of_files_were_read(runs):
    """Checkpoints, weights, tables, curves, logs, configurations and plots among them."""
    kinds = {".ckpt", ".safetensors", ".parquet", ".wandb", ".log", ".yaml", ".jsonl", ".png"}
    assert kinds <= runs.read.kinds
    assert runs.read.files > 100 and runs.read.bytes > 10**7 and runs.read.inflated > 10**4


@pytest.mark.parametrize("how", forms(KEY))
def test_a_key_is_found_in_every_form_and_container(how):
    for name, data in packed(forms(KEY)[how]).items():
        read = Read()
        look(read, data, "x")
        assert any("SERVED_MODEL_KEY" in found for found in read.found), name


def test_a_key_is_found_in_a_table_and_in_a_name(tmp_path):
    table = pa.table({"said": ["nothing", f"it is {KEY}"]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    (tmp_path / f"run-{CANARIES['HF_TOKEN']}").mkdir()
    found = search(tmp_path, planted=set()).found
    assert any(one.startswith("a.parquet/rows: SERVED_MODEL_KEY") for one in found)
    assert any(one.startswith("the name ") and "HF_TOKEN" in one for one in found)
