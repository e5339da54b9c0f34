"""A real server of a real model, killed in the middle of its work."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from configs.probing import ServerConfig
from datamodules.sample import Media
from evaluation.probing.chat_messages import ChatRequest, messages
from evaluation.probing.openai_client import ask_remote
from tests.conftest import clip, film, make_sample, picture
from tests.mortal import mortal

LAUNCH = """
import os, sys
import torchvision, transformers.cli.serve  # what takes long, once for all servers
from tests.mortal import mortal
from transformers.cli.transformers import main
for _ in sys.stdin:
    if (pid := os.fork()) == 0:
        mortal()
        os.dup2(2, 1)
        main()
    print(pid, flush=True)
"""


@contextmanager
def launcher(port: int, log: Path) -> Iterator[Callable[[], int]]:
    """Give a function that starts `transformers serve` on the tiny model and returns its id."""
    options = ["serve", "assets/tiny", "--device", "cpu", "--host", "127.0.0.1"]
    command = [sys.executable, "-c", LAUNCH, *options, "--port", str(port)]
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    started: list[int] = []
    with log.open("w") as file:
        process = subprocess.Popen(
            command, **pipes, stderr=file, env=offline, text=True, preexec_fn=mortal
        )

    def start() -> int:
        print(file=process.stdin, flush=True)
        started.append(int(process.stdout.readline()))
        return started[-1]

    try:
        yield start
    finally:
        for pid in started:  # not reaped before the launcher ends, so still theirs
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.communicate()


def free_port() -> int:
    """Find one below those that the system gives to connections, which could take it meanwhile."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def wait_until_up(url: str) -> None:
    for _ in range(1200):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5)
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


def asked_with_media(count: int) -> Iterator[ChatRequest]:
    """Ask in turn with a picture, a sound, a film, two media, and none."""
    rng = np.random.default_rng(0)
    kinds = [[picture(rng)], [clip(rng)], [film(rng)], [picture(rng), clip(rng)], []]
    for number in range(count):
        items = kinds[number % len(kinds)]
        media = tuple(Media(modality=item.modality, path="") for item in items)
        sample = replace(make_sample(f"s{number}"), media=media)
        chat = messages(sample, [[item] for item in items])
        yield ChatRequest(sample=sample, messages=chat)


def test_a_server_killed_and_restarted_answers_every_question_once(tmp_path, caplog):
    pytest.importorskip("fastapi", reason="transformers serve needs it")
    pytest.importorskip("uvicorn", reason="transformers serve needs it")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = ServerConfig(url=f"{url}/v1", model="assets/tiny", concurrency=4, retries=1)
    found: dict[str, list[str]] = {}
    with launcher(port, tmp_path / "log") as start:
        server = start()
        wait_until_up(url)
        for request, texts in ask_remote(
            config, asked_with_media(40), seed=0, temperature=0.0, max_tokens=12
        ):
            assert request.sample.id not in found
            found[request.sample.id] = texts
            if len(found) == 10:
                os.kill(server, signal.SIGKILL)
                start()
    assert found.keys() == {f"s{number}" for number in range(40)}
    assert all("<answer>" in text for (text,) in found.values())
    assert "Asking again in" in caplog.text
