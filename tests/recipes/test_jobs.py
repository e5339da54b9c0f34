"""A recipe as SLURM jobs."""

import re
import shlex
from pathlib import Path

import pytest

from configs.load import load_config
from configs.recipe_command import read_command
from recipes.jobs import _options, as_jobs
from recipes.running import _chains

STAGES = ("rlvr", "probe", "audit")


def jobs_of(*words: str, root: Path) -> list[str]:
    command = read_command(["recipe=vidground", f"run.root={root}", "--sbatch", *words])
    place = root / "recipe"
    text = as_jobs(command, _chains(command, place), place)
    assert text.startswith("#!/bin/bash\n# The steps of recipe=vidground as SLURM jobs")
    return text.splitlines()[3:]


def waits(line: str) -> list[str]:
    found = re.search(r"--dependency=afterok:(\S+)", line)
    return found[1].replace("$", "").split(":") if found else []


def test_each_step_waits_for_the_one_before_and_the_recipe_for_all(tmp_path):
    *steps, last = jobs_of(root=tmp_path)
    assert [re.search(r"--job-name=(\S+)", line)[1] for line in steps] == [
        "probe",
        "rlvr",
        "benchmark",
    ]
    assert [waits(line) for line in [*steps, last]] == [[], ["job0"], ["job1"], ["job2"]]
    assert shlex.split(last)[4:] == [
        *("configs/slurm/cpu.sbatch", "train.py", "recipe=vidground"),
        *(f"run.root={tmp_path}", "run.name=recipe"),
    ]


def test_arms_are_chains_behind_what_they_share(tmp_path):
    *steps, last = jobs_of("seeds=[0,1]", root=tmp_path)
    names = ["probe", "base-0.rlvr", "base-0.benchmark", "base-1.rlvr", "base-1.benchmark"]
    assert [re.search(r"--job-name=(\S+)", line)[1] for line in steps] == names
    assert [waits(line) for line in steps] == [[], ["job0"], ["job1"], ["job0"], ["job3"]]
    assert all("--kill-on-invalid-dep=yes" in line for line in [*steps, last] if waits(line))
    assert waits(last) == ["job2", "job4"] and "'seeds=[0,1]'" in last


def test_what_is_finished_is_not_submitted_again(tmp_path):
    (tmp_path / "recipe/probe").mkdir(parents=True)
    (tmp_path / "recipe/probe/finished").touch()
    lines = jobs_of(root=tmp_path)
    assert lines[0] == f"# probe is finished: {tmp_path / 'recipe/probe'}"
    assert [waits(line) for line in lines[1:]] == [[], ["job0"], ["job1"]]


def test_the_words_of_a_step_are_those_of_its_command(tmp_path):
    line = jobs_of(root=tmp_path)[1]
    words = shlex.split(line.removeprefix("job1=$(").removesuffix(")"))
    config = load_config(words[words.index("train.py") + 1 :], STAGES)
    assert config.data.contribution.probes == [f"@{tmp_path / 'recipe/probe'}"]
    assert (config.run.root, config.run.name) == (str(tmp_path / "recipe"), "rlvr")


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["stage=rlvr"], ["gpu.sbatch"]),
        (["stage=rlvr", "trainer.accelerator=cpu"], ["cpu.sbatch"]),
        (["stage=audit"], ["cpu.sbatch"]),
        (["stage=probe", "probe.backend=openai", "probe.server.model=m"], ["cpu.sbatch"]),
        (["stage=rlvr", "trainer.devices=4"], ["--gpus-per-node=4", "node.sbatch"]),
        (
            ["stage=rlvr", "trainer.devices=4", "trainer.num_nodes=2"],
            ["--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4", "nodes.sbatch"],
        ),
    ],
)
def test_the_batch_script_is_the_one_for_what_the_step_asks_for(words, asked):
    more = ["trainer.strategy=ddp"] if "trainer.devices=4" in words else []
    found = _options(load_config([*words, *more], STAGES), "name")
    assert found[0] == "--job-name=name"
    assert [word.removeprefix("configs/slurm/") for word in found[1:]] == asked


def test_a_finished_recipe_submits_nothing(tmp_path):
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/finished").touch()
    with pytest.raises(ValueError, match=r"is finished, and no job is left .* another run\.name"):
        jobs_of(root=tmp_path)


def test_jobs_are_submitted_from_where_their_scripts_lie(tmp_path, monkeypatch):
    command = read_command(["recipe=vidground", f"run.root={tmp_path}", "--sbatch"])
    chains = _chains(command, tmp_path / "recipe")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"holds no configs/slurm, .* directory of this project"):
        as_jobs(command, chains, tmp_path / "recipe")
