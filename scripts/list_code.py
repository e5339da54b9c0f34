"""Write docs/code.md anew from what files say of themselves: `python -m scripts.list_code`."""

import ast
from collections.abc import Iterator
from pathlib import Path

from runtime.writing import write_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "code.md"
BELOW = "## File by file\n"
"""The heading from which on the page is made; what stands above it is written by hand."""

ROOMS = (
    *("untrusted", "configs", "runtime", "pretrained", "datamodules", "modules", "inference"),
    *("evaluation", "publishing", "training", "recipes", "assets", "scripts"),
)
"""From the lowest to the highest: each imports those before it."""


def purpose(file: Path) -> str:
    """Read the first paragraph of a file's docstring, in one line."""
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def lines() -> Iterator[str]:
    """Write a heading for each folder and a line for each of its files."""
    folders = [folder for room in ROOMS for folder in sorted((ROOT / room).rglob("__init__.py"))]
    for package in folders:
        name = package.parent.relative_to(ROOT)
        yield f"\n### `{name}/`\n\n{purpose(package)}\n\n"
        for file in sorted(package.parent.glob("*.py")):
            if file != package:
                path = file.relative_to(ROOT)
                yield f"- [{file.name}](../{path}): {purpose(file)}\n"


def page() -> str:
    """Make the page: its beginning as it is, and the list anew."""
    return "".join((PAGE.read_text().partition(BELOW)[0], BELOW, *lines()))


if __name__ == "__main__":
    write_text(PAGE, page())
