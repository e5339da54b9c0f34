"""Servers that take their time, for ever: a request has one deadline, and a process still ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from evaluation.probing import openai_client as remote
from evaluation.probing.chat_messages import ChatRequest
from evaluation.probing.openai_client import ask_remote
from tests.evaluation.probing.test_openai_client import asked, questions
from tests.hostile_server import completion, http, misbehaving
from tests.mortal import mortal

ROOT = Path(__file__).parents[3]
WHOLE = http(completion())


def drip(connection: socket.socket, pieces: Iterator[bytes], seconds: float) -> None:
    """Send a piece now and then until the other side is gone."""
    with suppress(OSError):
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(seconds)


def endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


def bytes_of(whole: bytes) -> Iterator[bytes]:
    yield from (whole[at : at + 1] for at in range(len(whole)))


SLOW: dict[str, Callable[[socket.socket], None]] = {
    "says nothing": lambda to: drip(to, endless(b""), 0.2),
    "one byte at a time": lambda to: drip(to, bytes_of(WHOLE), 0.1),
    "headers without end": lambda to: (
        to.sendall(b"HTTP/1.1 200 OK\r\n"),
        drip(to, endless(b"x: y\r\n"), 0.05),
    ),
    "stalls behind its headers": lambda to: (
        to.sendall(WHOLE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"),
        drip(to, endless(b""), 0.2),
    ),
    "stalls before its last byte": lambda to: (to.sendall(WHOLE[:-1]), drip(to, endless(b""), 0.2)),
    "a body without end": lambda to: (
        to.sendall(b"HTTP/1.1 200 OK\r\n\r\n"),
        drip(to, endless(b" "), 0.05),
    ),
    "chunks without end": lambda to: (
        to.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        drip(to, endless(b"1\r\n \r\n"), 0.05),
    ),
    "goes on without end": lambda to: drip(to, endless(b"HTTP/1.1 100 Continue\r\n\r\n"), 0.05),
}


def test_a_slow_reply_costs_its_question_as_soon_as_the_time_is_up(caplog):
    """Each keeps the time between two reads short, but for those that say nothing at all."""

    def behave(body: dict[str, Any], connection: socket.socket) -> None:
        name = body["messages"][0]["content"]
        SLOW.get(name, lambda to: to.sendall(WHOLE))(connection)

    requests = questions(1 + len(SLOW))
    for request, name in zip(requests[1:], SLOW, strict=True):
        request.messages[0]["content"] = name
    began = time.monotonic()
    stopped = pytest.raises(ValueError, match=f"{len(SLOW)} of {len(requests)} questions")
    with misbehaving(behave) as seen, stopped:
        asked(seen.config(timeout=2, concurrency=9), requests)
    assert 2 < time.monotonic() - began < 12
    assert caplog.text.count("so far: no whole reply within 2 s") == len(SLOW)


def test_a_server_that_reads_nothing_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = asking(listening.getsockname()[1])
        requests = questions(3)
        for request in requests:
            request.messages[0]["content"] = "x" * 20_000_000  # more than any buffer takes
        began = time.monotonic()
        with pytest.raises(ValueError, match=r"first 3 questions.*within 0\.5 s"):
            asked(config, requests)
        assert time.monotonic() - began < 20


def asking(port: int) -> Any:
    return remote.ServerConfig(
        url=f"http://127.0.0.1:{port}/v1", model="m", timeout=0.5, retries=0, concurrency=3
    )


def test_what_cannot_be_cancelled_is_left_behind(monkeypatch):
    """A medium that is never read through holds up a thread, and nobody else."""
    monkeypatch.setattr(remote, "LEAVING", 0.2)
    held = threading.Event()

    def stuck() -> Iterator[ChatRequest]:
        yield from questions(1)
        held.wait(30)

    with misbehaving(lambda _, to: to.sendall(WHOLE)) as seen:
        arrived = ask_remote(seen.config(), stuck(), seed=0, temperature=0.0, max_tokens=8)
        next(arrived)
        began = time.monotonic()
        arrived.close()
        assert time.monotonic() - began < 15
        held.set()


WAITING = """
import sys
from runtime import stopping
from runtime.console import run_to_exit
from configs.probing import ServerConfig
from datamodules.sample import Sample
from evaluation.probing.chat_messages import ChatRequest
from evaluation.probing.openai_client import ask_remote
from tests.mortal import mortal
mortal()
stopping.GRACE = 60
stopping.stand_by()
config = ServerConfig(url=sys.argv[1], model="m", timeout=300)
names = {"source": "test", "asset_id": "s", "content_hash": "0" * 32}
sample = Sample(id="s", question="?", answer="1", answer_type="number", **names)
asked = ChatRequest(sample=sample, messages=[{"role": "user", "content": "?"}])
run_to_exit(lambda: [*ask_remote(config, [asked] * 20, seed=0, temperature=0.0, max_tokens=8)])
"""


@pytest.fixture(scope="module")
def stalled() -> Iterator[str]:
    """A server that takes questions and never says anything."""
    with misbehaving(lambda _, to: drip(to, endless(b""), 0.2)) as seen:
        yield seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_waits_for_a_server_ends_at_the_first_signal(stalled, number):
    before = len(stalled.bodies)
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, stalled.url],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=mortal,
    )
    while len(stalled.bodies) == before:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert time.monotonic() - began < 25  # before the grace is over
    assert "Traceback" not in said and f"stopped by {signal.Signals(number).name}" in said
