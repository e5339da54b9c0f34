"""A policy is probed again while it learns, and learning does not notice.

The runs are real: a tiny model, ten pictures of noise, four steps so large that answers change.
"""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.load import load_config
from configs.schema import ContributionConfig
from datamodules.contribution.presets import VotingRule, rule_of
from datamodules.contribution.probe_cache import ProbeRow, write_shard
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from training.callbacks.reaudit import _sole_voter
from training.run import train

Row = dict  # of JSON, whose values are of any type


def read(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def words(root: Path, runs: Path, name: str, *more: str, stage: str = "rlvr") -> list[str]:
    return [
        f"stage={stage}",
        "data=manifest",
        f"data.root={root}",
        f"run.root={runs}",
        f"run.name={name}",
        "trainer.accelerator=cpu",
        "trainer.max_steps=4",
        "trainer.batch_size=2",
        "trainer.accumulate_grad_batches=2",
        "trainer.checkpoint_every=1",
        "trainer.log_every_n_steps=1",
        "rlvr.group_size=4",
        "rlvr.max_completion_tokens=12",
        "probe.max_completion_tokens=12",
        "optim.lr=3e-3",
        "optim.max_grad_norm=100",
        *more,
    ]


AUDITED = (
    "data.contribution.rule=vidground",
    "data.contribution.keep=all",
    "data.contribution.refresh_every=1",
    "data.contribution.refresh_samples=6",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten questions about pictures and one without, each but q9 answered once without media."""
    root = tmp_path_factory.mktemp("questions")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(11):
        pixels = rng.integers(0, 255, (56, 56, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        media = [{"modality": "image", "path": f"{number}.png"}] if number < 10 else []
        rows.append(
            {
                "id": f"q{number}",
                "question": "Which digit is in the image?",
                "options": [str(number % 7), str(9 - number % 2)],
                "answer": str(9 - number % 2),
                "completion": f"<answer>{9 - number % 2}</answer>",
                "media": media,
            }
        )
    for split in ("train", "val"):
        (root / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = read_manifest(root / "train.jsonl", root, Quarantine(max_bad_share=0.0))
    probed = [
        ProbeRow(
            sample_id=sample.id,
            content_hash=sample.content_hash,
            probe_key="a" * 32,
            condition="text_only",
            how="absent",
            n=1,
            n_correct=number % 2,
            n_unparsed=0,
            shard="1/1",
            time=0.0,
        )
        for number, sample in enumerate(samples[:9])
    ]
    write_shard(root / "probes", probed)
    return root


@pytest.fixture(scope="module")
def audited(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that was audited after each of its four steps."""
    runs = tmp_path_factory.mktemp("runs")
    train(load_config(words(root, runs, "audited", *AUDITED), ("rlvr",)))
    return runs / "audited"


def test_each_audit_asks_the_same_questions_and_remembers_the_one_before(audited):
    """Of q0-q8 odd ones were weak in the cache; q9 was never asked, q10 is undefined."""
    rows = read(audited / "reaudit.jsonl")
    audits = [[row for row in rows if row["step"] == step] for step in (1, 2, 3, 4)]
    ids = [row["id"] for row in audits[0]]
    assert len(rows) == 24 and len(set(ids)) == 6 and "q10" not in ids
    assert all([row["id"] for row in audit] == ids for audit in audits)
    cached = {f"q{n}": "weak" if n % 2 else "strong" for n in range(9)} | {"q9": "missing"}
    assert [row["before"] for row in audits[0]] == [cached[id_] for id_ in ids]
    for before, after in pairwise(audits):
        assert [row["before"] for row in after] == [row["band"] for row in before]
    assert {row["band"] for row in rows} == {"weak", "strong"}, "the steps are to change answers"


def test_metrics_sum_up_the_rows(audited):
    """A vote of one answer: what is weak is what was right."""
    metrics = [row for row in read(audited / "metrics.jsonl") if "audit/weak" in row]
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]
    for row in metrics:
        audit = [one for one in read(audited / "reaudit.jsonl") if one["step"] == row["step"]]
        weak = sum(one["band"] == "weak" for one in audit)
        judged = [one for one in audit if one["before"] != "missing"]
        moved = sum(one["band"] != one["before"] for one in judged)
        assert row["audit/weak"] == row["audit/ablated_accuracy"] == weak / 6
        assert row["audit/strong"] == (6 - weak) / 6 and row["audit/undetermined"] == 0
        assert row["audit/moved"] == moved / len(judged)


def test_a_resumed_run_audits_as_an_unbroken_one(audited, root, tmp_path):
    """Steps 3 and 4 are forgotten but for their rows, the last of them torn."""
    shutil.copytree(audited, tmp_path / "audited")
    for lost in ("finished", "export", "checkpoints/step-00000004.ckpt"):
        path = tmp_path / "audited" / lost
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    files = [tmp_path / "audited" / name for name in ("metrics.jsonl", "reaudit.jsonl")]
    whole = [file.read_text() for file in files]
    files[1].write_text(whole[1][:-20])
    train(load_config(words(root, tmp_path, "audited", *AUDITED), ("rlvr",)))
    assert [file.read_text() for file in files] == whole


@pytest.mark.parametrize("stage", ["rlvr", "sft"])
def test_learning_does_not_notice(stage, root, tmp_path):
    """Every metric of every step as exact floats, and the weights at the end as bytes."""
    runs = {"plain": AUDITED[:2], "audited": (*AUDITED, "data.contribution.samples=2")}
    for name, settings in runs.items():
        given = words(root, tmp_path, name, *settings, "trainer.max_steps=2", stage=stage)
        train(load_config(given, (stage,)))
    learned = [
        [row for row in read(tmp_path / name / "metrics.jsonl") if "audit/weak" not in row]
        for name in runs
    ]
    assert learned[0] == learned[1] and len(learned[0]) == 2
    weights = [(tmp_path / name / "export" / "model.safetensors").read_bytes() for name in runs]
    assert weights[0] == weights[1]


def test_a_policy_at_rest_answers_as_the_probe_that_filled_the_cache(root, tmp_path):
    """With on_missing=probe the model of the run votes, though another probe is cached."""
    shutil.copytree(root, tmp_path / "questions")
    settings = ("optim.lr=1e-30", "trainer.max_steps=1", "probe.prompt=vidground")
    settings += ("data.contribution.on_missing=probe",)
    given = words(tmp_path / "questions", tmp_path, "rest", *AUDITED, *settings)
    train(load_config(given, ("rlvr",)))
    (row,) = [row for row in read(tmp_path / "rest" / "metrics.jsonl") if "audit/weak" in row]
    assert row["audit/moved"] == 0
    bands = {row["id"]: row["band"] for row in read(tmp_path / "rest" / "selection.jsonl")}
    assert all(bands[row["id"]] == row["band"] for row in read(tmp_path / "rest" / "reaudit.jsonl"))


def test_an_audit_needs_a_rule(root, tmp_path):
    given = words(root, tmp_path, "none", "data.contribution.refresh_every=5")
    with pytest.raises(ValueError, match=r"refresh_every is 5.*rule=none.*rule=calibrated"):
        load_config(given, ("rlvr",))


def test_an_audit_needs_questions_that_the_rule_can_decide_on(root, tmp_path):
    settings = ("data.contribution.min_questions=99",)
    config = load_config(words(root, tmp_path, "few", *AUDITED, *settings), ("rlvr",))
    with pytest.raises(ValueError, match=r"vidground can decide on none of 11.*refresh_every=0"):
        train(config)


def test_of_several_voters_the_policy_is_one():
    rule = rule_of(ContributionConfig(rule="vidground_m1", min_questions=7))
    alone = _sole_voter(rule)
    assert isinstance(rule, VotingRule) and isinstance(alone, VotingRule)
    assert alone.voters == rule.voters[:1] and alone.votes_needed == 1
    assert alone.min_questions == 0
