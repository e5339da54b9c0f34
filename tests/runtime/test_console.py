"""What both scripts share: streams that are closed, full or unread, and how a process ends."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.request import proxy_bypass

import httpx2
import pytest

from runtime import console
from tests.publishing.standin import hub

ROOT = Path(__file__).parents[2]

CODE = """
import os, sys
from runtime.console import run_to_exit, say
def work():
    file = open(sys.argv[1], "w")
    assert file.fileno() > 2
    say("said")
    print("also said", file=sys.stderr)
    subprocess = os.system("echo a library speaks; read line; echo of it >&2")
    assert subprocess == 0
    if len(sys.argv) > 2:
        raise ValueError("what is wrong, and the way out.")
run_to_exit(work)
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("fails", [False, True])
def test_streams_that_are_closed_change_nothing(tmp_path, closed, fails):
    command = [sys.executable, "-c", CODE, str(tmp_path / "file"), *["fail"] * fails]
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {closed}', "bash", *command],
        cwd=ROOT,
        input="a line\n",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == fails and "Traceback" not in done.stderr
    assert (tmp_path / "file").read_text() == ""
    if "2>&-" not in closed and fails:
        assert "error: what is wrong" in done.stderr


RAISING = """
import sys
from configs.load import load_config
from runtime.console import run_to_exit

def step():
    {raised}

run_to_exit(step, load_config(["stage=rlvr"], ("rlvr",)))
"""
SHOWING = """
import sys
from runtime.console import Screen
sys.stderr = Screen(sys.stderr.buffer, sys.stderr.encoding, "backslashreplace")
from tqdm import tqdm
for _ in tqdm(range(3), mininterval=0): print("word" * 9_000, file=sys.stderr)
open(sys.argv[1], "w").write("done")
"""


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.fixture
def full() -> Iterator[IO[str]]:
    """A disk that is full."""
    with Path("/dev/full").open("w") as disk:
        yield disk


def ended(*command: str, **streams: Any) -> tuple[int, str]:
    """Run Python; return its exit code and what it said on standard error, unless that leads
    elsewhere."""
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | streams
    done = subprocess.run([sys.executable, *command], cwd=ROOT, text=True, **streams)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (
            "import torch; raise torch.OutOfMemoryError('CUDA out of memory. x')",
            1,
            "error: the GPU's memory",
        ),
        ("open('train.py/x')", 1, "error: train.py/x is a file where a directory should be"),
        ("raise ValueError('the tea is cold')", 1, "error: the tea is cold"),
        ("sys.exit(3)", 3, ""),
        ("{}['x']", 1, "Traceback"),
    ],
)
def test_a_process_ends_with_the_sentence_and_the_code(raised, code, told):
    found, said = ended("-c", RAISING.format(raised=raised))
    assert found == code
    assert said.startswith(told) if told else not said
    assert ("Traceback" in said) == (told == "Traceback")


@pytest.mark.parametrize(
    "command", [["-c", RAISING.format(raised="print('x' * 1_000_000)")], ["eval.py", "--help"]]
)
def test_what_nobody_reads_to_its_end_ends_quietly(unread, command):
    assert ended(*command, stdout=unread) == (141, "")


def test_a_run_goes_on_where_its_words_find_no_room(tmp_path, full):
    """Standard error goes to a full disk, as with `2> log`; what is written elsewhere stays."""
    assert ended("-c", SHOWING, str(tmp_path / "done"), stderr=full)[0] == 0
    assert (tmp_path / "done").read_text() == "done"


def test_a_run_ends_where_nobody_reads_its_words(tmp_path, unread):
    assert ended("-c", SHOWING, str(tmp_path / "done"), stderr=unread)[0] != 0


def test_a_report_that_finds_no_room_is_an_error_and_one_sentence(full):
    """Standard output goes to a full disk, as with `> report`."""
    code, said = ended("-c", RAISING.format(raised="print('x' * 9_000)"), stdout=full)
    assert code == 1
    assert said.startswith("error: a disk is full (No space left on device): free space")
    assert len(said.splitlines()) == 1


def test_a_directory_that_others_could_change_is_not_used_for_libraries(tmp_path, monkeypatch):
    """One of others' making may say which code draws and computes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"earwitness-{os.geteuid()}"
    assert console._place_for_libraries() == str(place)
    assert place.stat().st_mode & 0o777 == 0o700
    place.chmod(0o770)
    assert console._place_for_libraries() is None
    place.rmdir()
    place.symlink_to(tmp_path)
    assert console._place_for_libraries() is None


@pytest.mark.parametrize("before", [{}, {"NO_PROXY": "a.b"}, {"no_proxy": "a.b"}])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_servers_on_this_machine_are_asked_past_a_proxy_by_every_library(before, host, monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, before.get(name, ""))
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    console.spare_loopback()
    console.spare_loopback()  # as in the steps of a recipe
    with hub() as served:
        url = served.url.replace("127.0.0.1", host)
        assert httpx2.get(url).status_code == 401  # with which the hub's library asks
        assert proxy_bypass(host)
        with pytest.raises(httpx2.ConnectError):
            httpx2.get("http://elsewhere.invalid")
    expected = ",".join([*before.values(), "localhost,127.0.0.1,::1"])
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == expected


def test_who_uses_no_proxy_at_all_goes_on_so(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("NO_PROXY", raising=False)
    console.spare_loopback()
    assert os.environ["no_proxy"] == "*" and "NO_PROXY" not in os.environ


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_an_interrupt_while_the_first_modules_are_imported_is_quiet(script, tmp_path):
    """By a stand-in for one of them; a shell shows 130 for a process that the signal ended."""
    interrupted = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "omegaconf.py").write_text(interrupted)
    done = subprocess.run(
        [sys.executable, script, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
