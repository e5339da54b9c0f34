"""Cards: what they say of a run, that the hub itself reads them, and that they leak nothing."""

import ast
import json
import math
import shlex
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import EvalResult, ModelCard

from configs.load import config_hash, load_config
from configs.schema import Config
from evaluation.statistics.intervals import Interval
from publishing.card import make_card
from publishing.origin import Origin
from publishing.record import Record, TrainedOn, installed_versions
from publishing.scores import ScoreTable, SetScore

TRAIN = ("sft", "rlvr", "distill", "prealign")
QWEN = Origin(
    name="Qwen/Qwen2.5-Omni-3B",
    id="Qwen/Qwen2.5-Omni-3B",
    license="other",
    license_name="qwen-research",
    license_link="LICENSE",
    language=("en",),
)
SCORES = ScoreTable(
    rows=[
        SetScore(
            data="digits",
            set="test",
            own=Interval(mean=0.5731, low=0.5488, high=0.5969, n=2000, clusters=784),
            base=Interval(mean=0.516, low=0.492, high=0.54, n=2000, clusters=784),
            text_only=0.307,
        ),
        SetScore(
            data="digits",
            set="few",
            own=Interval(mean=0.25, low=math.nan, high=math.nan, n=4, clusters=1),
            base=None,
            text_only=None,
        ),
    ],
    condition="full",
    by="answer",
    confidence=0.95,
    base="tiny",
    limit=0,
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    described = {"model_type": "qwen2_5_omni_thinker", "architectures": ["SomeThinker"]}
    (tmp_path / "config.json").write_text(json.dumps(described))
    return tmp_path


def config(*words: str) -> Config:
    return load_config(["stage=rlvr", *words], TRAIN)


def record(origin: Origin = QWEN) -> Record:
    return Record(
        trained_on=TrainedOn(sources={"digits": 7000, "more": 1000}, questions=8000, kept=1234),
        origin=origin,
        steps=321,
        versions=installed_versions(),
    )


def card(weights: Path, *words: str, **changes: Any) -> str:
    facts = {"record": record(), "name": "me/model", **changes}
    return make_card(weights, config(*words), **facts)


def command(text: str) -> list[str]:
    """The words of the command that repeats the run."""
    block = text.partition("```sh\n")[2].partition("\n```")[0]
    return shlex.split(block.replace("\\\n", " "))


def test_the_hub_reads_the_front_matter(weights):
    text = card(weights, "model.lora.rank=8", "push.datasets=[a/b]", scores=SCORES)
    found = ModelCard(text).data
    assert found.base_model == "Qwen/Qwen2.5-Omni-3B"
    assert (found.library_name, found.pipeline_tag) == ("transformers", "any-to-any")
    assert found.tags == ["earwitness", "rlvr", "lora"]
    assert (found.datasets, found.language) == (["a/b"], ["en"])
    license_ = (found.license, found.license_name, found.license_link)
    assert license_ == ("other", "qwen-research", "LICENSE")


def test_the_hub_reads_the_scores(weights):
    test, few = ModelCard(card(weights, scores=SCORES)).data.eval_results
    assert test == EvalResult(
        task_type="any-to-any",
        dataset_type="digits",
        dataset_name="digits/test",
        dataset_split="test",
        metric_type="accuracy",
        metric_name="accuracy in percent, shown: full",
        metric_value=57.3,
        metric_args={
            "confidence": 0.95,
            "interval": [54.8, 59.7],
            "questions": 2000,
            "clusters": 784,
        },
    )
    assert (few.metric_value, few.metric_args) == (25.0, {"questions": 4, "clusters": 1})


def test_people_read_the_scores_with_their_intervals(weights):
    text = card(weights, scores=SCORES)
    row = "| digits/test | 2000 | 784 | 51.6 [49.2, 54.0] | 57.3 [54.8, 59.7] | 30.7 |"
    assert row in text
    assert "| digits/few | 4 | 1 |  | 25.0 [-] |  |" in text
    assert "95% interval" in text


def test_without_a_benchmark_a_card_claims_no_score(weights):
    text = card(weights)
    assert "No benchmark has scored these weights yet." in text
    assert "model-index" not in text


def test_a_card_counts_what_the_rule_kept(weights):
    words = ("data.contribution.rule=vidground", "data.contribution.control=complement")
    text = card(weights, *words)
    assert "The rule `vidground` (`keep=strong`, `control=complement`) kept 1234 of 8000." in text
    assert "| digits | 7000 |\n| more | 1000 |" in text
    assert "No rule filtered them" in card(weights)


def test_the_command_repeats_the_run(weights):
    words = (
        *("objective=dapo", "model=qwen2_5_omni_3b", "optim.lr=3e-6", "seed=4", "data.root=there"),
        *("data.contribution.rule=calibrated", "data.contribution.min_questions=7"),
        *("model.system_prompt=Look, `listen`, it's 3 $", "data.contribution.weighted=true"),
        *("data.contribution.probes=[abc,def]", "rlvr.objective.clip_ratio_c=null"),
        *("run.name=x", "data.workers=3", "--push-to-hub=me/model"),
    )
    python, script, *given = command(card(weights, *words))
    assert (python, script) == ("python", "train.py")
    assert config_hash(load_config(given, TRAIN)) == config_hash(config(*words))
    assert not [word for word in given if word.startswith(("run.", "push.", "data.workers"))]


def test_settings_that_differ_are_listed_and_others_are_not(weights):
    text = card(weights, "optim.lr=3e-6")
    assert "| optim.lr | 3e-06 |" in text and "optim.weight_decay" not in text
    assert "All are the defaults." in card(weights)
    assert "321 optimizer steps" in text


def test_no_directory_of_the_machine_is_named(weights, tmp_path):
    words = (
        *(f"data.root={tmp_path}/digits", f"init_from={tmp_path}/runs/imitate/export"),
        f"data.contribution.disjoint_from=[{tmp_path}/runs/other/export]",
        f"data.train={tmp_path}/one.jsonl+two",
    )
    origin = Origin(name="imitate")
    text = card(weights, *words, record=record(origin), adapter=True)
    assert str(tmp_path) not in text and "/tmp" not in text
    assert "data.root=PATH/digits" in text and "where PATH is a directory of yours" in text
    assert "init_from=PATH/imitate/export" in text
    assert "data.contribution.disjoint_from=[PATH/other/export]" in text
    assert "PATH/one.jsonl+two" in text


def test_a_key_of_the_environment_is_masked(weights, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "qwertzuiop")
    origin = Origin(name="a-qwertzuiop-b")
    text = card(weights, record=record(origin))
    assert "qwertzuiop" not in text and "a-***-b" in text


def test_adapters_say_how_peft_loads_them(weights):
    text = card(weights, "model.lora.rank=8", adapter=True)
    assert ModelCard(text).data.library_name == "peft"
    assert 'base = SomeThinker.from_pretrained("Qwen/Qwen2.5-Omni-3B")' in text
    assert 'PeftModel.from_pretrained(base, "me/model")' in text


def test_a_base_without_a_card_has_no_license(weights):
    text = card(weights, record=record(Origin(name="mine")))
    assert "names no license" not in text and "no card that names a license" in text
    found = ModelCard(text).data
    assert (found.base_model, found.license) == (None, None)


def test_names_cannot_write_markdown_of_their_own(weights):
    origin = Origin(name="x](http://evil)<script>|`y`")
    text = card(weights, record=record(origin))
    assert "<script>" not in text and "](http://evil)" not in text


@pytest.mark.parametrize("adapter", [False, True])
def test_any_name_is_loaded_by_the_code_of_the_card(weights, adapter):
    name = 'it\'s "mine" ```\\'
    text = card(weights, name=name, adapter=adapter)
    code = text.partition("\n````python\n")[2].partition("\n````\n")[0]
    names = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    assert name in names


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("qwen3_omni_moe_thinker", "any-to-any"),
        ("qwen2_5_vl", "image-text-to-text"),
        ("qwen3_vl", "image-text-to-text"),
        ("qwen2_audio", "audio-text-to-text"),
        ("qwen2", "text-generation"),
    ],
)
def test_the_task_is_what_the_kind_takes(weights, kind, task):
    (weights / "config.json").write_text(json.dumps({"model_type": kind}))
    assert ModelCard(card(weights)).data.pipeline_tag == task
