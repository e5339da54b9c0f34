"""Tests of what is said about the code: the tree, docs/code.md and the first lines of files."""

import ast
import re
from pathlib import Path

import pytest

from scripts.list_code import PAGE, ROOMS, page, purpose

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"( *)(\S+)  +(\S.*)")
FILES = sorted(
    str(file.relative_to(ROOT)) for room in ROOMS for file in (ROOT / room).rglob("*.py")
)


def tree() -> list[tuple[str, str]]:
    """List the paths of the README's tree, each with its caption."""
    block = FENCED.search((ROOT / "README.md").read_text().split("## The house")[1])
    assert block is not None
    entries, above = [], [""]
    for line in block[1].splitlines():
        entry = ENTRY.fullmatch(line)
        assert entry is not None, f"{line!r} has no caption"
        depth = len(entry[1]) // 2
        path = above[depth] + entry[2]
        above[depth + 1 :] = [path]
        entries.append((path, entry[3]))
    return entries


@pytest.mark.parametrize(("path", "caption"), tree(), ids=lambda part: part)
def test_the_tree_says_of_a_folder_what_it_says_of_itself(path, caption):
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()
    package = ROOT / path / "__init__.py"
    assert not package.is_file() or caption == purpose(package)


def test_the_tree_leaves_no_folder_out():
    """The rooms of `datamodules` and `modules` are named, and elsewhere the folders of the root."""
    above = ["", *(f"{room}/" for room in ("datamodules", "modules"))]
    packages = [file for folder in above for file in (ROOT / folder).glob("*/__init__.py")]
    folders = {f"{package.parent.relative_to(ROOT)}/" for package in packages}
    assert folders | {"docs/", "tests/", "train.py", "eval.py"} == {path for path, _ in tree()}


def test_the_tree_stands_from_the_lowest_room_to_the_highest():
    shown = [path.rstrip("/") for path, _ in tree()]
    assert [room for room in shown if room in ROOMS] == [*ROOMS]


@pytest.mark.parametrize("file", ["CONTRIBUTING.md", "docs/design.md"])
def test_the_pages_name_the_rooms_from_the_lowest_to_the_highest(file):
    block = re.search(r"^ {4}untrusted .*\n(?: {4}.*\n)*", (ROOT / file).read_text(), re.MULTILINE)
    assert block is not None
    assert block[0].split() == [room for room in ROOMS if room not in ("assets", "scripts")]


def test_the_root_holds_two_scripts():
    assert sorted(path.name for path in ROOT.glob("*.py")) == ["eval.py", "train.py"]


def test_the_list_of_the_code_is_the_one_that_is_made():
    assert PAGE.read_text() == page(), "write it anew: python -m scripts.list_code"


@pytest.mark.parametrize("file", FILES)
def test_each_file_says_what_it_is_for(file):
    assert ast.get_docstring(ast.parse((ROOT / file).read_text()))


def test_a_folder_with_sources_is_listed():
    sources = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in sources)
