"""Tutorials run as they are written: block after block, each page in an empty directory.

    GOLDEN=write python -m pytest tests/house/test_tutorials.py

writes what comes out into the pages; look at the difference, and read the words around it again.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.evaluation.probing.test_serving import free_port, wait_until_up
from tests.fork_server import ForkServer, fork_server
from tests.mortal import mortal

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
BLOCK = re.compile(
    r"^```(?P<kind>\w+)\n(?P<block>.*?)^```$|^ {4}transformers (?P<serve>serve [^\n]*)$",
    re.MULTILINE | re.DOTALL,
)
PORT = "8123"
AFTER = {"filter": "questions"}
"""Pages that go on where another ended."""

NUMBER = re.compile(r"[<+-]?\d+(?:,\d{3})*(?:\.\d+)?")
TOLERANCE = 5.0
"""Points or questions: another processor rounds otherwise, and a few answers differ by that."""

Played = Callable[[str], list[tuple[str, str]]]


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server(PYTHONPATH=str(ROOT)) as opened:
        yield opened


@pytest.fixture(scope="module")
def played(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Follow a page once, and what it goes on from before it."""
    found: dict[str, list[tuple[str, str]]] = {}
    places: dict[str, Path] = {}

    def follow(name: str) -> list[tuple[str, str]]:
        if name not in found:
            before = AFTER.get(name)
            if before is not None:
                follow(before)
            places[name] = tmp_path_factory.mktemp(name) if before is None else places[before]
            found[name] = [*play(ROOT / f"docs/tutorials/{name}.md", places[name], server)]
        return found[name]

    return follow


def run(line: str, place: Path, server: ForkServer) -> list[str]:
    """Run one line of a shell in a directory, and return the lines that it says."""
    program, script, *words = shlex.split(line, comments=True)
    assert program == "python"
    said = place / "said"
    said.unlink(missing_ok=True)
    if script in ("train.py", "eval.py"):
        code = server.start(script, words, said, cwd=place).end()
    else:
        environ = os.environ | {"PYTHONPATH": str(ROOT)}
        with said.open("w") as out:
            command = [sys.executable, script, *words]
            code = subprocess.run(
                command, cwd=place, env=environ, stdout=out, stderr=out
            ).returncode
    assert code == 0, said.read_text()[-2000:]
    return re.split(r"[\r\n]+", said.read_text())


def serve(words: str, port: int, place: Path, stack: ExitStack) -> None:
    """Serve a model until the page ends."""
    command = [str(Path(sys.executable).with_name("transformers")), *shlex.split(words)]
    environ = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    out = stack.enter_context((place / "served").open("w"))
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=out, stderr=out, preexec_fn=mortal
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    wait_until_up(f"http://127.0.0.1:{port}")


def play(page: Path, place: Path, server: ForkServer) -> Iterator[tuple[str, str]]:
    """Follow a page; yield each output that it shows, and the same lines as they came out."""
    said: list[str] = []
    port = free_port()
    with ExitStack() as stack:
        for part in BLOCK.finditer(page.read_text()):
            block = part["block"] or ""
            if part["serve"]:
                serve(part["serve"].replace(PORT, str(port)), port, place, stack)
            elif part["kind"] == "sh":
                lines = block.replace("\\\n", " ").replace(PORT, str(port)).splitlines()
                typed = [line for line in lines if line.startswith("python ")]
                said = [line for each in typed for line in run(each, place, server)]
            elif part["kind"] == "text":
                yield block, came_out(block, said)
            else:  # a file, which names itself in its first line
                name, _, _ = block.partition("\n")
                (place / name.removeprefix("# ")).write_text(block)


def came_out(block: str, said: list[str]) -> str:
    """Find the lines of a block in an output, in their order; `...` stands for those between."""
    found, left = [], iter(said)
    for line in block.splitlines():
        same = line
        if line not in ("", "..."):
            same = next((one.rstrip() for one in left if words_of(one) == words_of(line)), None)
            assert same is not None, f"{line!r} is not in {said}"
        found.append(same)
    return "".join(f"{line}\n" for line in found)


def words_of(line: str) -> list[str]:
    """Split a line, each number and each rule of dashes as such."""
    return NUMBER.sub("#", re.sub(r"-{3,}", "---", line)).split()


def numbers(text: str) -> list[float]:
    return [float(number.lstrip("<+").replace(",", "")) for number in NUMBER.findall(text)]


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_each_command_works_and_what_is_shown_comes_out(page, played):
    shown = played(page.stem)
    assert shown
    if os.environ.get("GOLDEN") == "write":
        text = page.read_text()
        for block, fresh in shown:
            text = text.replace(block, fresh)
        page.write_text(text)
    for block, fresh in shown:
        assert numbers(fresh) == pytest.approx(numbers(block), abs=TOLERANCE), fresh


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_each_figure_in_the_words_stands_in_an_output(page):
    text = page.read_text()
    shown = {number for part in BLOCK.finditer(text) for number in numbers(part["block"] or "")}
    words = re.sub(r"`[^`]*`", "", BLOCK.sub("", text))
    told = {float(number) for number in re.findall(r"\b\d+\.\d+\b", words)}
    assert told <= {abs(number) for number in shown}
