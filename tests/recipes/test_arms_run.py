"""A stage with arms and seeds, trained and scored for real, from its words to its table."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.comparing import ARMS
from configs.load import load_config
from configs.recipe_command import read_command
from evaluation.benchmarking.compare import compare
from recipes.arms import check_arms, comparison
from recipes.running import listed_arms
from recipes.steps import resolve
from tests.fork_server import ForkServer, fork_server

WORDS = (
    *("trainer.accelerator=cpu", "trainer.max_steps=2", "trainer.batch_size=2"),
    *("trainer.checkpoint_every=2", "rlvr.group_size=2", "optim.lr=1e-2", "benchmark.limit=12"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as opened:
        yield opened


def test_arms_of_a_stage_end_in_one_table_and_their_runs_in_the_same(server, root, tmp_path):
    """Named by their words in a recipe, and by the settings that differ where none is there."""
    data = ["data=manifest", f"data.root={root}"]
    arms = ["arms=[objective=gspo,[rlvr.temperature=0.7,rlvr:optim.lr=1e-3]]", "seeds=[3]"]
    place = tmp_path / "plan"
    assert "minus gspo: all questions" in follow(
        server, ["stage=rlvr", *data, *WORDS, *arms], place
    )
    rows = table(place / "compare")
    assert [*rows] == ["before", "gspo", "temperature=0.7-lr=1e-3"]
    for label in ("gspo", "temperature=0.7-lr=1e-3"):
        score = line(place / f"{label}-3" / "benchmark", "rlvr")
        assert rows[label]["accuracy_by_seed"]["all questions"] == pytest.approx([score])
        assert (rows[label]["steps"], rows[label]["seeds"]) == (2, 1)
    before = line(place / "gspo-3/benchmark", "tiny")
    assert rows["before"]["accuracy"]["all questions"]["mean"] == pytest.approx(before)

    words = [f"runs=[{place}/*/benchmark]", f"run.root={tmp_path}", "run.name=c"]
    compare(load_config(["stage=compare", *words], ("compare",)))
    found = table(tmp_path / "c")
    gspo = "gspo-lr=0.01-temperature=1.0"
    assert {*found} == {"before", gspo, "default-lr=0.001-temperature=0.7"}
    assert found[gspo]["accuracy"] == rows["gspo"]["accuracy"]


def test_arms_of_descriptions_are_scored_by_what_their_reader_answers(server, root, tmp_path):
    """One way by two seeds, against the weights before; every benchmark is graded by the reader."""
    place, data = tmp_path / "plan", ["data=manifest", f"data.root={root}"]
    arms = ["arms=[prealign.reward=signed]", "seeds=[0,1]", "against=before"]
    few = ["trainer.max_steps=1", "rlvr.max_completion_tokens=8", "benchmark.limit=4"]
    words = [*WORDS, *few, "benchmark.conditions=[full]"]
    text = follow(server, ["stage=prealign", *data, *words, *arms], place)
    assert "minus before: all questions" in text and "seeds: 2" in text
    rows = table(place / "compare")
    assert [*rows] == ["before", "signed"]
    scores = [line(place / f"signed-{seed}/benchmark", "prealign") for seed in (0, 1)]
    assert rows["signed"]["accuracy_by_seed"]["all questions"] == pytest.approx(scores)
    assert (rows["signed"]["steps"], rows["signed"]["seeds"]) == (1, 2)
    results = json.loads((place / "signed-0/benchmark/results.json").read_text())
    assert results["by"] == "description"


def follow(server: ForkServer, words: list[str], place: Path) -> str:
    """Run all steps of a command with arms, and return the text of their comparison."""
    command = read_command(words)
    check_arms(command)
    chains = [resolve(command, place, arm) for arm in command.arms]
    for step in (step for chain in chains for step in chain):
        child = server.start(step.script, step.words, place.parent / "said")
        assert child.end() == 0, child.said.read_text()[-2000:]
    (place / ARMS).write_text(listed_arms(command))
    last = comparison(command, chains, place)
    assert last is not None
    return compare(last.config)


def table(run: Path) -> dict[str, dict]:
    """Read the rows of a comparison by their arms."""
    results = json.loads((run / "results.json").read_text())
    return {row["arm"]: row for row in results["tables"]["benchmark, test"]["rows"]}


def line(run: Path, name: str) -> float:
    """Read the score of a checkpoint."""
    lines = json.loads((run / "results.json").read_text())["lines"]
    return next(each["score"]["mean"] for each in lines if each["checkpoint"] == name)
