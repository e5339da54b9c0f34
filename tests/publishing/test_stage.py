"""From a training to the hub: cards of real exports, scores of real benchmarks, real pushes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from configs.load import load_config
from configs.schema import Config
from evaluation.benchmarking.stage import benchmark
from evaluation.probing.stage import probe
from publishing.stage import push
from tests.publishing.standin import TOKEN, Hub, hub
from tests.publishing.test_hub import at
from training.run import train

STAGES = ("sft", "probe", "benchmark", "push")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub() as state:
        at(state.url, monkeypatch)
        yield state


@pytest.fixture(scope="module")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a probe, a training with adapters on what it leaves, and a benchmark."""
    folder = tmp_path_factory.mktemp("runs")
    probe(config(root, folder, "stage=probe", "probe.limit=20", "probe.conditions=[text_only]"))
    rule = ["data.contribution.rule=vidground", "data.contribution.on_missing=drop"]
    train(training(root, folder, "mine", "model.lora.rank=2", *rule))
    words = [f"benchmark.checkpoints=[{folder}/mine/export]", "benchmark.limit=40"]
    benchmark(config(root, folder, "stage=benchmark", "run.name=scored", *words))
    return folder


def config(root: Path, folder: Path, *words: str) -> Config:
    common = ["data=manifest", f"data.root={root}", f"run.root={folder}"]
    caches = [f"data.contribution.cache={folder}/probes", f"benchmark.cache={folder}/answers"]
    return load_config([*common, *caches, "trainer.accelerator=cpu", *words], STAGES)


def training(root: Path, folder: Path, name: str, *words: str) -> Config:
    common = ["stage=sft", "trainer.max_steps=2", "trainer.batch_size=2", "optim.lr=1e-2"]
    return config(root, folder, f"run.name={name}", *common, *words)


def pushing(runs: Path, *words: str) -> Config:
    return load_config(["stage=push", f"push.run={runs}/mine", *words], STAGES)


def test_every_export_has_a_card_that_the_hub_reads(runs, root):
    for folder, library in (("export", "transformers"), ("adapter", "peft")):
        text = (runs / "mine" / folder / "README.md").read_text()
        found = ModelCard(text).data
        assert (found.library_name, found.pipeline_tag) == (library, "any-to-any")
        assert (found.tags, found.license) == (["earwitness", "sft", "lora"], "apache-2.0")
        questions = len((root / "train.jsonl").read_text().splitlines())
        rows = (runs / "mine" / "selection.jsonl").read_text().splitlines()
        kept = sum(json.loads(row)["kept"] for row in rows)
        assert 0 < kept < questions == len(rows)
        assert f"kept {kept} of {questions}." in text
        assert "2 optimizer steps" in text and "transformers 5." in text


def test_nothing_that_leaves_names_a_directory_of_this_machine(runs, root):
    for folder in ("export", "adapter"):
        for file in (runs / "mine" / folder).glob("*"):
            if file.suffix != ".safetensors":
                text = file.read_text()
                assert str(runs) not in text and str(root) not in text, file
                assert str(Path.cwd()) not in text, file


def test_adapters_name_the_weights_that_they_belong_to(runs):
    adapter = json.loads((runs / "mine" / "adapter" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == "assets/tiny"


def test_a_finished_run_is_pushed_with_the_scores_of_its_benchmark(runs, served):
    words = (f"push.benchmark={runs}/scored", "--push-to-hub=me/model")
    told = push(pushing(runs, *words))
    assert told == f"pushed {runs}/mine/export to {served.url}/me/model"
    there = served.repositories["me/model"]
    export = runs / "mine" / "export"
    assert there.private and there.by_lfs == {"model.safetensors"}
    assert there.files == {file.name: file.read_bytes() for file in export.iterdir()}
    results = json.loads((runs / "scored" / "results.json").read_text())
    base, own = results["lines"]
    (found,) = ModelCard(there.files["README.md"].decode()).data.eval_results
    assert found.metric_value == round(100 * own["score"]["mean"], 1)
    interval = [round(100 * own["score"][end], 1) for end in ("low", "high")]
    assert found.metric_args["interval"] == interval
    assert (found.metric_args["questions"], found.dataset_name) == (40, "manifest/test")
    shown = there.files["README.md"].decode()
    assert f"| {round(100 * base['score']['mean'], 1)} [" in shown
    assert "the first 40 questions of each set" in shown


def test_adapters_are_pushed_alone_on_request(runs, served):
    push(pushing(runs, "push.folder=adapter", "--push-to-hub=me/adapter"))
    files = served.repositories["me/adapter"].files
    assert files.keys() == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert ModelCard(files["README.md"].decode()).data.library_name == "peft"


def test_scores_of_other_weights_are_refused(runs, root, served):
    """The same directory, trained anew, has weights of its own."""
    train(training(root, runs, "other", "seed=1"))
    words = (f"push.benchmark={runs}/scored", "--push-to-hub=me/model", f"push.run={runs}/other")
    with pytest.raises(ValueError, match=r"scored tiny, mine, and none of these are the weights"):
        push(pushing(runs, *words))
    assert served.asked == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["push.run="], r"push\.run=DIRECTORY is not given, but stage=push uploads"),
        (["push.to=null"], r"--push-to-hub=NAMESPACE/NAME is not given, but"),
        (["push.run=nowhere"], r"nowhere/export holds no weights, but .*repeat its command"),
        (["push.benchmark=nowhere"], r"nowhere holds no results\.json, but .*without scores"),
    ],
)
def test_what_cannot_be_pushed_is_a_sentence(runs, served, words, told):
    with pytest.raises(ValueError, match=told):
        push(pushing(runs, "--push-to-hub=me/model", *words))
    assert served.asked == []


def test_a_run_without_a_record_is_refused(runs, served, tmp_path):
    run = tmp_path / "old"
    (run / "export").mkdir(parents=True)
    (run / "export" / "model.safetensors").touch()
    with pytest.raises(ValueError, match=r"holds no card\.json, but .*train it again"):
        push(pushing(runs, f"push.run={run}", "--push-to-hub=me/model"))
    (run / "card.json").write_text('{"origin": 3}')
    with pytest.raises(ValueError, match=r"card\.json is damaged .*restore it"):
        push(pushing(runs, f"push.run={run}", "--push-to-hub=me/model"))


def test_a_training_pushes_its_export_at_its_end(root, tmp_path, served):
    export = train(training(root, tmp_path, "pushed", "--push-to-hub=me/trained"))
    there = served.repositories["me/trained"]
    assert there.files == {file.name: file.read_bytes() for file in export.iterdir()}
    assert "# me/trained" in there.files["README.md"].decode()
    assert served.asked.index("GET /api/whoami-v2") < served.asked.index("POST /api/repos/create")


def test_a_token_that_is_refused_costs_no_training(root, tmp_path, served, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN[::-1])
    with pytest.raises(ValueError, match=r"does not know the token for me/trained \(401\)"):
        train(training(root, tmp_path, "refused", "--push-to-hub=me/trained"))
    assert not (tmp_path / "refused" / "metrics.jsonl").exists()


def test_after_a_push_that_failed_the_same_command_trains_nothing_and_pushes(
    root, tmp_path, served, monkeypatch
):
    words = training(root, tmp_path, "again", "--push-to-hub=me/trained")
    served.statuses["/repos/create"] = 403
    with pytest.raises(ValueError, match=r"not write to me \(403\)") as caught:
        train(words)
    run = tmp_path / "again"
    before = {file.name: file.read_bytes() for file in (run / "export").iterdir()}
    rows = (run / "metrics.jsonl").read_text()
    assert not (run / "finished").exists()
    served.statuses.clear()
    train(words)
    assert (run / "finished").exists()
    assert (run / "metrics.jsonl").read_text() == rows
    assert served.repositories["me/trained"].files == before
    command = re.search(r"python eval\.py (stage=push .*)$", str(caught.value))
    assert command is not None
    del served.repositories["me/trained"]
    push(load_config(command[1].split(), STAGES))
    assert served.repositories["me/trained"].files == before


def started(state: Hub, *words: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """Run a script as a user does, with a hub on loopback."""
    environ = {"HF_ENDPOINT": state.url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_command_ends_with_one_sentence_and_without_the_token(runs):
    words = ("eval.py", "stage=push", f"push.run={runs}/mine", "--push-to-hub", "me/typed")
    with hub() as state:
        state.statuses["/repos/create"] = 403
        refused = started(state, *words)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("error: the hub lets this token not write to me (403)")
        assert len(refused.stderr.splitlines()) == 1
        state.statuses.clear()
        pushed = started(state, *words)
        assert pushed.returncode == 0
        assert pushed.stdout == f"pushed {runs}/mine/export to {state.url}/me/typed\n"
        assert TOKEN not in refused.stderr + pushed.stdout + pushed.stderr
        assert state.repositories["me/typed"].private


def test_a_training_is_typed_with_its_push(root, tmp_path):
    words = ["stage=sft", "trainer.max_steps=1", "trainer.batch_size=2", "run.name=typed"]
    places = ["data=manifest", f"data.root={root}", f"run.root={tmp_path}"]
    with hub() as state:
        done = started(state, "train.py", *words, *places, "--push-to-hub=me/typed")
        assert done.returncode == 0, done.stderr
        assert f"pushed: {state.url}/me/typed" in done.stderr
        assert TOKEN not in done.stderr + done.stdout
        assert "model.safetensors" in state.repositories["me/typed"].files
    assert (tmp_path / "typed" / "finished").exists()
    assert not [
        file
        for file in tmp_path.rglob("*")
        if file.is_file() and TOKEN.encode() in file.read_bytes()
    ]
