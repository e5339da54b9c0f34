"""Tests of comparing runs that exist: what is found, grouped, paired, named and refused."""

import json
from pathlib import Path

import pytest

from configs.load import load_config
from evaluation.benchmarking.compare import compare
from evaluation.benchmarking.pairing import Pairing, pair
from evaluation.benchmarking.scored import find_scored
from tests.stored_scores import benchmark, training

RIGHT = {"1e-4": ("111", "011", "110"), "1e-5": ("110", "100", "000")}
"""Answers after training at two rates, by seed."""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Trainings by hand, at two rates with three seeds, each with a benchmark of its own."""
    for rate, rows in RIGHT.items():
        for seed, scored in enumerate(rows):
            name = f"{rate}-{seed}"
            trained = training(
                tmp_path / name,
                steps=4,
                stage="sft",
                seed=seed,
                optim={"lr": float(rate)},
                trainer={"max_steps": 4},
                push={"to": f"somebody/{name}"},
            )
            benchmark(
                tmp_path / f"scores-{name}",
                {"tiny": "100", "sft": scored},
                weights={"tiny": tmp_path / "published", "sft": trained},
            )
    return tmp_path


def paired(*patterns: object) -> Pairing:
    found, _ = find_scored([str(pattern) for pattern in patterns])
    return pair(found, "benchmark")


def results(root: Path, *words: str) -> dict:
    told = compare(load_config(["stage=compare", f"run.root={root}", "run.name=c", *words], ALL))
    assert str(root / "c") in told
    return json.loads((root / "c/results.json").read_text())


ALL = ("compare",)


def test_runs_are_grouped_by_the_settings_that_differ_and_paired_by_seed(runs):
    """The weights before are found in each benchmark, and are one arm of no seed."""
    found = paired(runs / "scores-*")
    assert [*found.arms] == ["before", "lr=0.0001", "lr=1e-05"]
    assert found.seeds == [0, 1, 2] and found.first == "lr=0.0001"
    assert found.arms["lr=1e-05"] == [runs / f"scores-1e-5-{n}/sft.jsonl" for n in range(3)]
    assert len({*found.arms["before"]}) == 1 and len(found.arms["before"]) == 3
    assert found.settings["lr=1e-05"] == {"optim.lr": 1e-05}


def test_a_comparison_leaves_a_table_numbers_and_a_picture(runs):
    """All right: 3 + 2 + 2 of 9 at one rate, 2 + 1 + 0 at the other, 1 of 3 before."""
    table = results(runs, f"runs=[{runs}/scores-*]", "against=before")["tables"]["benchmark, test"]
    means = {row["arm"]: row["accuracy"]["all questions"]["mean"] for row in table["rows"]}
    assert means == pytest.approx({"before": 3 / 9, "lr=0.0001": 7 / 9, "lr=1e-05": 3 / 9})
    assert table["baseline"] == "before" and table["rows"][1]["p"]["all questions"] > 0
    text = (runs / "c/comparison.txt").read_text()
    assert "minus before: all questions" in text and "3 questions about 2 assets" in text
    assert (runs / "c/comparison.png").read_bytes().startswith(b"\x89PNG")


def test_one_benchmark_of_several_checkpoints_is_compared_as_well(runs):
    weights = {f"sft-{seed}": runs / f"1e-4-{seed}" / "export" for seed in range(2)}
    weights |= {"other": runs / "1e-5-1" / "export", "tiny": runs / "published"}
    benchmark(
        runs / "all", {"tiny": "000", **dict.fromkeys([*weights][:3], "110")}, weights=weights
    )
    found = paired(runs / "all")
    assert [*found.arms] == ["before", "lr=0.0001", "lr=1e-05"]
    assert found.seeds == [1]
    assert found.notes == ["benchmark: seeds 0 of lr=0.0001 are left out, which not all arms have"]


def test_an_objective_names_an_arm_in_place_of_its_settings(tmp_path):
    whole = load_config(["stage=rlvr"], ("rlvr",))
    assert whole.rlvr.objective.clip_low == 0.2
    for name in ("gspo", "dr_grpo"):
        objective = vars(load_config(["stage=rlvr", f"objective={name}"], ("rlvr",)).rlvr.objective)
        kl = vars(whole.rlvr.kl)
        trained = training(
            tmp_path / name, steps=1, stage="rlvr", seed=3, rlvr={"objective": objective, "kl": kl}
        )
        benchmark(tmp_path / f"of-{name}", {"own": "110"}, weights={"own": trained})
    found = paired(tmp_path / "of-gspo", tmp_path / "of-dr_grpo")
    assert [*found.arms] == ["gspo", "dr_grpo"]
    assert "rlvr.objective.importance_sampling_level" in found.settings["gspo"]


def recipe(root: Path, arms: dict[str, list[int]]) -> Path:
    """Leave a recipe's directory with its arms, each with a training and a benchmark."""
    listed = {arm: {str(seed): f"{arm}-{seed}" for seed in seeds} for arm, seeds in arms.items()}
    root.mkdir()
    (root / "arms.json").write_text(json.dumps(listed))
    for arm, seeds in arms.items():
        for seed in seeds:
            chain = root / f"{arm}-{seed}"
            made = {"stage": "sft", "seed": seed, "trainer": {"max_steps": len(arm)}}
            weights = {"tiny": root / "published", "sft": training(chain / "sft", steps=2, **made)}
            benchmark(
                chain / "benchmark", {"tiny": "000", "mid": "000", "sft": "110"}, weights=weights
            )
    return root


def test_arms_of_a_recipe_keep_their_names_and_take_in_runs_by_hand(tmp_path):
    """Of its benchmarks the last checkpoint counts. Those by hand have the settings of `wide`."""
    place = recipe(tmp_path / "r", {"wide": [0, 1], "narrow": [0, 1, 2]})
    found = paired(place)
    assert [*found.arms] == ["before", "wide", "narrow"] and found.seeds == [0, 1]
    hand = training(tmp_path / "x", steps=2, stage="sft", seed=2, trainer={"max_steps": 4})
    benchmark(tmp_path / "of-x", {"tiny": "000", "sft": "111"}, weights={"sft": hand})
    both = paired(place, tmp_path / "of-x")
    assert {"wide", "narrow"} <= {*both.arms} and both.seeds == [0, 1, 2]


def test_an_arm_that_has_learned_nothing_is_one_still(tmp_path):
    """Its weights are those that it has started from."""
    place = recipe(tmp_path / "r", {"wide": [0], "narrow": [0]})
    for arm in ("wide", "narrow"):
        file = place / f"{arm}-0/benchmark/results.json"
        weights = {"tiny": "same", "mid": "other", "sft": "same" if arm == "wide" else "new"}
        file.write_text(json.dumps(json.loads(file.read_text()) | {"weights": weights}))
    assert [*paired(place).arms] == ["before", "wide", "narrow"]


def test_recipes_without_arms_are_compared_by_their_settings(tmp_path):
    """Their last checkpoints; what else lies among them is passed over, and counted."""
    for name, seed, steps in (("a", 0, 3), ("b", 1, 3), ("c", 0, 7), ("d", 1, 7)):
        made = {"stage": "sft", "seed": seed, "trainer": {"max_steps": steps}}
        weights = {"sft": training(tmp_path / f"of-{name}/sft", steps=steps, **made)}
        weights["tiny"] = tmp_path / "published"
        benchmark(tmp_path / f"of-{name}/benchmark", {"tiny": "000", "sft": "110"}, weights=weights)
    training(tmp_path / "of-none", steps=1)
    found, notes = find_scored([str(tmp_path / "of-*")])
    assert [*pair(found, "benchmark").arms] == ["before", "max_steps=3", "max_steps=7"]
    assert notes == [f"1 of {tmp_path}/of-* hold no benchmark, such as {tmp_path}/of-none"]


def test_an_arm_without_scores_is_told(tmp_path):
    place = recipe(tmp_path / "r", {"wide": [0], "narrow": [0]})
    (place / "arms.json").write_text(
        json.dumps({"wide": {"0": "wide-0", "1": "wide-1"}, "narrow": {"0": "narrow-0"}})
    )
    (place / "wide-1").mkdir()
    _, notes = find_scored([str(place)])
    assert notes == [f"{place}/wide-1 has no finished benchmark, and is left out"]


def test_models_that_no_run_has_trained_are_compared_by_their_names(tmp_path):
    for name, right in (("small", "100"), ("large", "111")):
        benchmark(tmp_path / f"of-{name}", {name: right})
    found = paired(tmp_path / "of-*")
    assert [*found.arms] == ["large", "small"] and found.seeds == []
    table = results(tmp_path, f"runs=[{tmp_path}/of-large,{tmp_path}/of-small]")["tables"]
    assert table["benchmark, test"]["baseline"] == "large"


def test_what_cannot_be_paired_is_refused_in_a_sentence(runs, tmp_path):
    with pytest.raises(
        ValueError, match=r"of the 0 directories of that name none holds a finished"
    ):
        find_scored([str(runs / "gone-*")])
    with pytest.raises(
        ValueError, match=r"1e-4-0', and of the 1 directories.*score trainings first"
    ):
        find_scored([str(runs / "1e-4-0")])
    with pytest.raises(ValueError, match=r"no seed in common \(lr=0.0001 has \[0\]; lr=1e-05 has"):
        paired(runs / "scores-1e-4-0", runs / "scores-1e-5-1")
    alone = benchmark(tmp_path / "alone", {"own": "110"})
    with pytest.raises(ValueError, match=r"there is one arm, before, and nothing to compare it"):
        paired(alone)
    with pytest.raises(ValueError, match=r"compare.runs is empty.*as in runs=\[runs/one"):
        compare(load_config(["stage=compare"], ALL))
    same = {"stage": "sft", "seed": 0, "optim": {"lr": 1e-4}, "trainer": {"max_steps": 4}}
    again = training(tmp_path / "again", steps=4, **same)
    benchmark(tmp_path / "of-again", {"sft": "111"}, weights={"sft": again})
    with pytest.raises(ValueError, match=r"are both of arm .* with seed 0, but .*name one of the"):
        paired(runs / "scores-*", tmp_path / "of-again")
    other = benchmark(tmp_path / "other", {"own": "110"}, name="another")
    with pytest.raises(ValueError, match=r"no set was scored in all of the runs.*same benchmark"):
        paired(runs / "scores-*", other)
