"""Tests of runs: directories are never shared, and found again by the same command."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.load import config_hash, load_config
from configs.schema import Config
from runtime.runs import RANKS, open_run
from tests.mortal import mortal

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from configs.load import load_config
from runtime.runs import open_run
run = open_run(load_config(sys.argv[1:], ("sft", "rlvr")))
print(run.dir, run.resumed, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def outside_of_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("SLURM_", "EARWITNESS_")) or name in RANKS:
            monkeypatch.delenv(name)


def settings(root: Path, *words: str) -> Config:
    return load_config(["stage=rlvr", f"run.root={root}", *words], ("rlvr",))


@pytest.fixture
def hold(tmp_path: Path) -> Iterator:
    """Start processes that hold a run until the test ends or kills them."""
    held = []

    def start(*words: str) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLDER, "stage=rlvr", f"run.root={tmp_path}", *words]
        pipe = subprocess.PIPE
        held.append(subprocess.Popen(command, cwd=ROOT, stdout=pipe, text=True, preexec_fn=mortal))
        return held[-1]

    yield start
    for process in held:
        process.kill()
        process.communicate()


def test_a_nameless_run_is_named_by_stage_objective_model_config_and_number(tmp_path):
    config = settings(tmp_path)
    with open_run(config) as run:
        assert run.dir == tmp_path / f"rlvr-default-tiny-{config_hash(config)}-0"
        assert not run.resumed
        assert (run.dir / "config.hash").read_text() == config_hash(config)
        assert f"root: {tmp_path}" in (run.dir / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "begin"),
    [
        ("stage=rlvr objective=gspo model=qwen2_5_vl_3b", "rlvr-gspo-qwen2_5_vl_3b-"),
        ("stage=sft", "sft-tiny-"),
        ("stage=distill", "distill-self-tiny-"),
    ],
)
def test_only_what_a_stage_has_is_in_its_name(words, begin, tmp_path):
    config = load_config([*words.split(), f"run.root={tmp_path}"], ("rlvr", "sft", "distill"))
    with open_run(config) as run:
        assert run.dir.name == f"{begin}{config_hash(config)}-0"


def test_a_second_living_run_gets_the_next_number(tmp_path):
    with open_run(settings(tmp_path)) as first, open_run(settings(tmp_path)) as second:
        assert (first.dir.name[-2:], second.dir.name[-2:]) == ("-0", "-1")


def test_an_unfinished_run_is_taken_up_again(tmp_path):
    open_run(settings(tmp_path)).close()
    with open_run(settings(tmp_path)) as run:
        assert run.dir.name.endswith("-0")
        assert run.resumed


def test_a_finished_run_is_left_alone(tmp_path):
    open_run(settings(tmp_path)).finish()
    with open_run(settings(tmp_path)) as run:
        assert run.dir.name.endswith("-1")
        assert not run.resumed


def test_another_config_is_another_run(tmp_path):
    open_run(settings(tmp_path)).close()
    with open_run(settings(tmp_path, "seed=1")) as run:
        assert not run.resumed


def test_an_error_inside_leaves_the_run_unfinished(tmp_path):
    with pytest.raises(ZeroDivisionError), open_run(settings(tmp_path)) as run:
        (run.dir / "metrics.jsonl").touch()
        1 / 0  # noqa: B018
    assert open_run(settings(tmp_path)).resumed


def test_an_error_before_anything_else_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), open_run(settings(tmp_path, "run.name=mine")):
        1 / 0  # noqa: B018
    assert [*tmp_path.iterdir()] == []
    with open_run(settings(tmp_path, "run.name=mine", "seed=1")) as run:
        assert not run.resumed


def test_a_lock_that_another_process_has_just_removed_is_not_taken(tmp_path, monkeypatch):
    """The first one locks a file that is gone by then; the second is of the directory."""
    taken = []

    def flock(file, operation):
        if not taken:
            (next(tmp_path.iterdir()) / "run.lock").unlink()
            next(tmp_path.iterdir()).rmdir()
        taken.append(file)

    monkeypatch.setattr(fcntl, "flock", flock)
    with open_run(settings(tmp_path)) as run:
        assert taken[0].closed and (run.dir / "run.lock").exists()


def test_a_directory_without_its_hash_was_never_begun(tmp_path):
    open_run(settings(tmp_path)).close()
    next(tmp_path.glob("*/config.hash")).unlink()
    assert not open_run(settings(tmp_path)).resumed


def test_many_starts_at_once_never_share_a_directory(hold):
    processes = [hold() for _ in range(8)]
    lines = [process.stdout.readline().split() for process in processes]
    assert len({directory for directory, _ in lines}) == 8
    assert {resumed for _, resumed in lines} == {"False"}


def test_a_killed_run_is_taken_up_by_the_same_command(hold):
    first = hold()
    directory, _ = first.stdout.readline().split()
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert hold().stdout.readline().split() == [directory, "True"]


def test_forked_workers_do_not_keep_a_run_from_being_taken_up(tmp_path):
    run = open_run(settings(tmp_path))
    worker = os.fork()
    if worker == 0:
        signal.pause()
        os._exit(0)
    try:
        run.close()
        with open_run(settings(tmp_path)) as again:
            assert again.dir == run.dir
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def test_a_named_run_has_one_directory(tmp_path):
    open_run(settings(tmp_path, "run.name=mine")).close()
    with open_run(settings(tmp_path, "run.name=mine")) as run:
        assert (run.dir, run.resumed) == (tmp_path / "mine", True)


def test_a_named_run_of_another_config_is_refused(tmp_path):
    config = settings(tmp_path, "run.name=mine")
    other = settings(tmp_path, "run.name=mine", "seed=7")
    open_run(config).close()
    with pytest.raises(ValueError) as caught:
        open_run(other)
    for word in (config_hash(config), config_hash(other), "(different: seed: 7)", "run.name"):
        assert word in str(caught.value)
    with open_run(config) as run:  # the refusal let go of the lock
        assert run.resumed


def test_a_named_run_that_lives_is_refused(hold, tmp_path):
    hold("run.name=mine").stdout.readline()
    with pytest.raises(ValueError, match="mine is in use by another process"):
        open_run(settings(tmp_path, "run.name=mine"))


def test_a_named_run_that_is_finished_is_refused(tmp_path):
    open_run(settings(tmp_path, "run.name=mine")).finish()
    with pytest.raises(ValueError, match=r"mine is finished.*choose another run\.name"):
        open_run(settings(tmp_path, "run.name=mine"))


def test_a_requeued_array_task_finds_its_own_run(tmp_path, monkeypatch):
    """The last task of an array has the array's own id as its SLURM_JOB_ID."""
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    names = []
    for task in ("0", "1", "0"):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", task)
        run = open_run(settings(tmp_path))
        names.append((run.dir.name[len("rlvr-default-tiny-01234567-") :], run.resumed))
        run.close()
    assert names == [("job12_0", False), ("job12_1", False), ("job12_0", True)]


def test_a_job_that_starts_twice_gets_two_directories(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with open_run(settings(tmp_path)) as first, open_run(settings(tmp_path)) as second:
        names = [run.dir.name[len("rlvr-default-tiny-01234567-") :] for run in (first, second)]
        assert names == ["job12", "job12-1"]


def test_processes_of_one_run_follow_their_leader(tmp_path, monkeypatch):
    config = settings(tmp_path, "trainer.devices=2")
    monkeypatch.setenv("EARWITNESS_RUN_DIR", "")  # restored after the test
    with open_run(config) as leader:
        monkeypatch.setenv("LOCAL_RANK", "1")
        follower = open_run(config)
        assert follower.dir.samefile(leader.dir)
        follower.finish()
        assert not (leader.dir / "finished").exists()


def test_followers_without_a_leader_ask_for_a_name(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ValueError, match=r"name it with run\.name="):
        open_run(settings(tmp_path, "trainer.devices=2"))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"0" * 100, b"a b", b"\0\0", b"abc\n"])
def test_a_hash_that_is_none_is_told_with_the_way_out(tmp_path, content):
    with open_run(settings(tmp_path, "run.name=a")) as run:
        (run.dir / "config.hash").write_bytes(content)
    with pytest.raises(ValueError, match=r"a/config.hash is damaged .*choose another run\.name"):
        open_run(settings(tmp_path, "run.name=a"))


def test_other_settings_are_told_where_those_of_the_run_are_no_text(tmp_path):
    with open_run(settings(tmp_path, "run.name=a")) as run:
        (run.dir / "config.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"holds a run with config .*different: .*stage: rlvr"):
        open_run(settings(tmp_path, "run.name=a", "seed=3"))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, number):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError) as caught:
        open_run(settings(tmp_path, "run.name=a"))
    assert caught.value.filename == f"{tmp_path}/a/run.lock"


def test_a_run_begins_by_sweeping_away_what_kills_left(tmp_path):
    with open_run(settings(tmp_path, "run.name=a")) as run:
        (run.dir / "export.9-00c0ffee.tmp").mkdir()
        (run.dir / "metrics.jsonl.9-00c0ffee.tmp").write_text("half")
    with open_run(settings(tmp_path, "run.name=a")) as run:
        assert not [*run.dir.glob("*.tmp")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become two other users")
def test_two_users_of_one_root_get_numbers_of_their_own(open_to_all):
    """The first may not be written by the second, which takes the next; a name is refused."""
    root = open_to_all / "runs"
    root.mkdir()
    root.chmod(0o1777)
    code = (
        "import os, sys; from configs.load import load_config; from runtime.runs import open_run;"
        "os.umask(int(sys.argv[2], 8)); os.setresuid(*3 * [int(sys.argv[1])]);"
        "print(open_run(load_config(sys.argv[3:], ('rlvr',))).dir.name)"
    )

    def start(user: int, *words: str, umask: str = "022") -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", code, str(user), umask, "stage=rlvr", f"run.root={root}"]
        return subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True)

    for seed, umask in enumerate(("022", "077")):
        first = start(4711, f"seed={seed}", umask=umask)
        second = start(4712, f"seed={seed}", umask=umask)
        assert first.stdout.strip().endswith("-0"), first.stderr
        assert second.stdout.strip() == first.stdout.strip()[:-1] + "1", second.stderr
    assert start(4711, "run.name=a").returncode == 0
    assert "PermissionError" in start(4712, "run.name=a").stderr
