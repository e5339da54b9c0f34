"""Probes, end to end on a small digits set: what is asked, by whom, and when it ends."""

from pathlib import Path

import numpy as np
import pytest

from configs.load import load_config
from configs.schema import Config
from datamodules.contribution.decide import apply_rule, question_features
from datamodules.contribution.presets import rule_of
from datamodules.contribution.probe_cache import probes, read_rows
from datamodules.contribution.probe_scores import Scores
from datamodules.loading.question_set import load_questions
from evaluation.probing.stage import probe
from evaluation.shards import shard_of

STAGES = ("probe",)


def config(root: Path, runs: Path, *words: str) -> Config:
    common = ["stage=probe", "data=manifest", f"data.root={root}", f"run.root={runs}"]
    cache = f"data.contribution.cache={runs / 'probes'}"
    return load_config([*common, cache, "probe.limit=40", *words], STAGES)


def rows(runs: Path) -> list[dict[str, object]]:
    return read_rows(runs / "probes").to_pylist()


def bands(root: Path, runs: Path, *words: str) -> np.ndarray:
    """Decide by one rule on what a probe has left in the cache of its runs."""
    settings = config(root, runs, *words)
    questions = load_questions(settings.data, "train", None, run_dir=runs)  # decoding needs none
    samples = questions.samples[:40]
    rule = rule_of(settings.data.contribution)
    (key,) = probes(runs / "probes")
    scores = Scores.load(runs / "probes", key, [sample.content_hash for sample in samples])
    counted = [scores.counts(rule.condition, rule.how)]
    return apply_rule(rule, counted, question_features(samples, rule.condition, rule.how))


def test_each_order_of_the_options_has_a_row_and_open_questions_have_one(root, tmp_path):
    probe(config(root, tmp_path, "probe.conditions=[text_only]", "probe.option_permutations=3"))
    seeds: dict[str, set[int]] = {}
    for row in rows(tmp_path):
        seeds.setdefault(row["sample_id"], set()).add(row["option_seed"])
    assert {frozenset(found) for found in seeds.values()} == {frozenset({0}), frozenset({0, 1, 2})}


def test_option_scoring_asks_choices_and_keeps_the_score_of_every_option(root, tmp_path):
    words = ["probe.conditions=[text_only]", "probe.method=options", "probe.option_permutations=2"]
    probe(config(root, tmp_path, *words))
    found = rows(tmp_path)
    assert found and all(row["n"] == 1 and row["n_unparsed"] == 0 for row in found)
    assert all(len(row["option_logprobs"]) >= 2 for row in found)
    assert {row["option_seed"] for row in found} == {0, 1}


@pytest.mark.parametrize("how", ["silent", "noise", "mismatched", "shuffled"])
def test_every_stand_in_can_be_asked(root, tmp_path, how):
    told = probe(config(root, tmp_path, "probe.conditions=[no_visual]", f"probe.replacement={how}"))
    found = rows(tmp_path)
    assert found and {row["how"] for row in found} == {how}
    assert "no_visual" in told and how in told


def test_more_samples_go_on_where_fewer_ended(root, tmp_path):
    words = ["probe.conditions=[text_only]", "probe.temperature=0.9"]
    probe(config(root, tmp_path, *words, "probe.samples=2"))
    probe(config(root, tmp_path, *words, "probe.samples=5"))
    whole = tmp_path / "whole"
    probe(config(root, whole, *words, "probe.samples=5"))
    assert {(row["first"], row["n"]) for row in rows(tmp_path)} == {(0, 2), (2, 3)}
    assert total(tmp_path) == total(whole)


def total(runs: Path) -> dict[object, tuple[int, int]]:
    """Add up answers and right ones of each question, condition and order."""
    added: dict[object, tuple[int, int]] = {}
    for row in rows(runs):
        place = (row["sample_id"], row["condition"], row["option_seed"])
        n, right = added.get(place, (0, 0))
        added[place] = n + row["n"], right + row["n_correct"]
    return added


def test_shares_together_ask_what_one_process_asks(root, tmp_path):
    words = ["probe.conditions=[full,text_only]", "probe.samples=2"]
    probe(config(root, tmp_path / "alone", *words))
    for share in ("2/3", "1/3", "3/3"):
        probe(config(root, tmp_path / "shared", *words, f"probe.shard={share}"))
    assert total(tmp_path / "shared") == total(tmp_path / "alone")
    assert {row["shard"] for row in rows(tmp_path / "shared")} == {"1/3", "2/3", "3/3"}


def test_a_run_leaves_the_names_of_its_voters(root, tmp_path):
    probe(config(root, tmp_path, "probe.conditions=[text_only]", "run.name=asked"))
    assert (tmp_path / "asked/voters.txt").read_text().split() == [*probes(tmp_path / "probes")]


def test_a_lost_file_is_asked_again_and_nothing_else(root, tmp_path):
    words = ["probe.conditions=[full,text_only]"]
    probe(config(root, tmp_path, *words))
    before = total(tmp_path)
    lost, *_ = sorted((tmp_path / "probes").glob("*/part-*.parquet"))
    lost.unlink()
    kept = {row["time"] for row in rows(tmp_path)}
    assert len(total(tmp_path)) < len(before)
    probe(config(root, tmp_path, *words))
    assert total(tmp_path) == before
    assert kept < {row["time"] for row in rows(tmp_path)}


@pytest.mark.parametrize("rule", ["omniclean", "calibrated"])
def test_stopping_early_decides_the_same_with_fewer_answers(root, tmp_path, rule):
    chosen = [f"data.contribution.rule={rule}", "data.contribution.min_questions=1"]
    condition = {"omniclean": "no_audio", "calibrated": "text_only"}[rule]
    everything = [f"probe.conditions=[{condition}]", "probe.samples=16"]
    probe(config(root, tmp_path / "all", *chosen, *everything))
    probe(config(root, tmp_path / "until", *chosen, f"probe.stop_when_decided_by={rule}"))
    asked = sum(n for n, _ in total(tmp_path / "all").values())
    needed = sum(n for n, _ in total(tmp_path / "until").values())
    assert needed < asked
    found = bands(root, tmp_path / "until", *chosen)
    assert (found == bands(root, tmp_path / "all", *chosen)).all()
    assert len({*found}) > 1


def test_three_models_vote_and_the_third_is_asked_only_where_two_disagree(root, tmp_path):
    """The same weights under three names agree always: copies, so their keys would coincide."""
    with pytest.raises(ValueError, match=r"votes of 3 probes, but this command names 1"):
        probe(config(root, tmp_path, "probe.stop_when_decided_by=audiomcq"))


@pytest.mark.parametrize(
    ("environ", "share"),
    [
        ({}, (1, 1)),
        ({"ID": "0", "COUNT": "4", "MIN": "0"}, (1, 4)),
        ({"ID": "8", "COUNT": "8", "MIN": "1"}, (8, 8)),
        ({"ID": "7", "COUNT": "3", "MIN": "3", "STEP": "2"}, (3, 3)),
    ],
)
def test_an_array_task_finds_its_share(environ, share):
    variables = {f"SLURM_ARRAY_TASK_{name}": value for name, value in environ.items()}
    assert shard_of("auto", variables) == share
    assert shard_of("2/5", variables) == (2, 5)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"COUNT": "4"}, "TASK_ID=, SLURM_ARRAY_TASK_MIN=, .* each is a whole number: unset"),
        ({"COUNT": "4", "ID": "0"}, "SLURM_ARRAY_TASK_MIN=, "),
        ({"COUNT": "x", "ID": "0", "MIN": "0"}, "SLURM_ARRAY_TASK_COUNT=x, but each is a whole"),
        ({"COUNT": "3", "ID": "0", "MIN": "1"}, "not numbered evenly .*TASK_ID=0.*--array=0-2"),
        ({"COUNT": "3", "ID": "4", "MIN": "1"}, "not numbered evenly .*probe.shard=K/3"),
        ({"COUNT": "3", "ID": "2", "MIN": "1", "STEP": "2"}, "not numbered evenly .*STEP=2"),
    ],
)
def test_an_array_that_divides_nothing_evenly_is_refused(environ, told):
    """Or a task would ask nothing, and its table would pass for that of all."""
    variables = {f"SLURM_ARRAY_TASK_{name}": value for name, value in environ.items()}
    with pytest.raises(ValueError, match=told):
        shard_of("auto", variables)


def test_a_probe_that_got_no_answer_leaves_nothing_in_the_cache(root, tmp_path):
    """Nobody listens at port 9 of this machine; an audit would show a row without numbers."""
    words = ["probe.backend=openai", "probe.server.model=m", "probe.conditions=[text_only]"]
    url = "probe.server.url=http://127.0.0.1:9/v1"
    with pytest.raises(ValueError, match="cannot be reached"):
        probe(config(root, tmp_path, *words, url))
    assert not (tmp_path / "probes").exists() or not [*(tmp_path / "probes").iterdir()]
