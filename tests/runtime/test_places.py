"""Places that cannot be written are told before anything is imported or made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs.load import load_config
from runtime.places import check_places, nearest

ROOT = Path(__file__).parents[2]
STAGES = ("sft", "rlvr", "distill", "probe", "benchmark", "audit")


def told(*words: str) -> str:
    with pytest.raises(ValueError) as caught:
        check_places(load_config([*words], STAGES))
    return str(caught.value)


def test_the_nearest_place_is_what_exists_of_a_path(tmp_path):
    (tmp_path / "file").touch()
    assert nearest(tmp_path / "a/b/c") == tmp_path
    assert nearest(tmp_path / "file/b") == tmp_path / "file"


def test_a_file_in_the_place_of_a_directory_is_told(tmp_path):
    (tmp_path / "runs").touch()
    assert told("stage=sft", f"run.root={tmp_path}/runs/mine") == (
        f"run.root is {tmp_path}/runs/mine, and {tmp_path}/runs is no directory, but run "
        "directories are written there: move it away, or name another directory with "
        "run.root=DIRECTORY."
    )


AS_NOBODY = """
import os, sys
from configs.load import load_config
from runtime.places import check_places
config = load_config(sys.argv[1:], ("probe", "benchmark", "audit", "sft", "distill"))
os.setgid(65534), os.setuid(65534)
try:
    check_places(config)
except ValueError as error:
    print(error)
"""


@pytest.fixture
def ask(open_to_all: Path):
    """Ask another user, as the rights of files do not bind root."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    (open_to_all / "runs").mkdir()
    (open_to_all / "runs").chmod(0o777)
    (open_to_all / "data").mkdir()

    def ask(*words: str) -> str:
        given = [f"data.root={open_to_all}/data", f"run.root={open_to_all}/runs", *words]
        command = [sys.executable, "-c", AS_NOBODY, "data=manifest", *given]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout

    return ask


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        ("stage=probe", "data.contribution.cache is {0}/data/probes, and {0}/data cannot"),
        ("stage=benchmark", "benchmark.cache is {0}/data/answers, and {0}/data cannot"),
        ("stage=distill", "distill.rejection_sampling.cache is {0}/data/traces, and {0}/data"),
        (
            "stage=sft data.contribution.rule=vidground data.contribution.on_missing=probe",
            "data.contribution.cache is {0}/data/probes",
        ),
        ("stage=sft run.root={0}/data/runs", "run.root is {0}/data/runs, and {0}/data cannot"),
    ],
)
def test_what_cannot_be_written_is_told_with_the_setting_that_helps(
    words, setting, ask, open_to_all
):
    found = ask(*words.format(open_to_all).split())
    assert setting.format(open_to_all) in found
    assert "this user may not" in found and "=DIRECTORY" in found
    assert ("an absolute one" in found) == ("cache" in setting)


def test_a_cache_that_holds_something_may_be_only_read(ask, open_to_all):
    (open_to_all / "data/probes").mkdir()
    (open_to_all / "data/probes/shard").touch()
    assert ask("stage=probe") == ""
    assert ask("stage=audit") == "" and ask("stage=sft") == ""
    cache = f"data.contribution.cache={open_to_all}/runs/probes"
    assert ask("stage=probe", cache) == ""
