"""Runs in processes of their own, for tests of what ends them."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.fork_server import Child, ForkServer, fork_server


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as opened:
        yield opened


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Directory of the run that `start` starts."""
    return tmp_path / "run"


@pytest.fixture
def start(server: ForkServer, root: Path, tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Start a run on the digits, with commands in `bin` before those of the machine."""
    children = []

    def start(script: str, *words: str, ignored: Sequence[int] = (), **environ: str) -> Child:
        given = ["data=manifest", f"data.root={root}", f"run.root={tmp_path}", "run.name=run"]
        words = (*given, "trainer.accelerator=cpu", *words)
        environ["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        said = tmp_path / "said"
        children.append(server.start(script, words, said, ignored=ignored, environ=environ))
        return children[-1]

    yield start
    for child in children:
        child.clear()
