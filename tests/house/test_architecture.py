"""Tests of the house itself: imports point one way, pure files stay pure, files stay short."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ORDER = (
    *("untrusted", "configs", "runtime", "pretrained", "datamodules", "modules", "inference"),
    *("evaluation", "publishing", "training", "recipes"),
)
"""The rooms, from the lowest: each may import those before it, but for what `NOT` takes away."""

NOT = {
    "pretrained": {"runtime"},
    "modules": {"datamodules"},
    "recipes": {"modules", "inference", "training", "evaluation", "publishing"},
}
BESIDES = {"modules": {"datamodules.batch", "datamodules.sample"}}
MAY_IMPORT = {
    room: {*ORDER[: place + 1]} - NOT.get(room, set()) | BESIDES.get(room, set())
    for place, room in enumerate(ORDER)
}
TORCH_FREE = (
    *("conditions", "sample", "truth", "contribution/", "contamination/", "media/", "sources/"),
    *("prompts/orders", "prompts/templates", "loading/mixture", "loading/traces", "preflight"),
)
NO_TORCH = (
    *("untrusted/", "configs/", "runtime/", "modules/verifiers/", "recipes/"),
    *("evaluation/auditing/", "evaluation/statistics/"),
    *(f"evaluation/benchmarking/{name}.py" for name in ("arms", "compare", "pairing", "scored")),
    *(f"modules/rewards/{name}.py" for name in ("verifier_reward", "evidence_reward")),
    *(f"datamodules/{name}" for name in TORCH_FREE),
    *("pretrained/settings.py", "pretrained/tensors.py", "pretrained/chat_template.py"),
)
TORCH_ONLY = ("modules/losses/", "modules/kernels/")
TOP = {*ORDER, "bench", "examples", "tests", "assets", "scripts", "train", "eval"}

SOURCES = sorted(
    str(path.relative_to(ROOT))
    for folder in (*ORDER, "bench", "examples", "assets", "tests", "scripts")
    for path in (ROOT / folder).rglob("*.py")
) + sorted(path.name for path in ROOT.glob("*.py"))
SHIPPED = [file for file in SOURCES if not file.startswith(("tests/", "bench/"))]
ARROWS = [file for file in SOURCES if re.split(r"[/.]", file)[0] in MAY_IMPORT]
TEXTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "*.toml", "requirements.*", "Make*", "*/*.md", "*/*.sh", "*/*/*.yaml")
    for path in ROOT.glob(pattern)
    if not path.relative_to(ROOT).parts[0].startswith(".")
)


def imports(file: str) -> set[str]:
    """List what a file imports, in functions too: `from a import b` counts as a and as a.b."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute from the root"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def inside(name: str, places: set[str]) -> bool:
    return any(f"{name}.".startswith(f"{place}.") for place in places)


def test_there_are_files_to_test():
    assert len(ARROWS) > 10
    assert {"configs/load.py", "datamodules/batch.py", "runtime/runs.py"} <= {*ARROWS}
    assert "pyproject.toml" in TEXTS


@pytest.mark.parametrize("file", ARROWS)
def test_imports_point_one_way(file):
    folder = re.split(r"[/.]", file)[0]
    allowed = MAY_IMPORT[folder] | {folder}
    local = {name for name in imports(file) if inside(name, TOP)}
    strays = sorted(name for name in local if not inside(name, allowed))
    assert not strays, f"{file} may not import {strays}; {folder} may: {sorted(allowed)}"


@pytest.mark.parametrize("file", [file for file in SHIPPED if file.startswith(NO_TORCH)])
def test_pure_files_never_import_torch(file):
    heavy = {name for name in imports(file) if inside(name, {"torch", "lightning", "transformers"})}
    assert not heavy, f"{file} imports {sorted(heavy)}, but must start at once and run anywhere"


def test_configs_and_runs_do_not_bring_torch_with_them():
    code = (
        "import sys, configs.load, runtime.console, runtime.runs;"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_evaluation_waits_for_torchmetrics_before_it_uses_it():
    """It takes a second to import."""
    top = re.compile(r"^(import|from) torchmetrics", re.MULTILINE)
    early = [file for file in SHIPPED if top.search((ROOT / file).read_text())]
    assert not early, f"{early} import torchmetrics at the top: do so in the function that needs it"


@pytest.mark.parametrize("file", [file for file in SHIPPED if file.startswith(TORCH_ONLY)])
def test_losses_and_kernels_need_torch_only(file):
    allowed = {"torch", "configs.choices", "modules.kernels", "modules.losses"}
    allowed |= {*sys.stdlib_module_names}
    strays = sorted(name for name in imports(file) if not inside(name, allowed))
    assert not strays, f"{file} imports {strays}; losses and kernels need torch only"


@pytest.mark.parametrize("file", SOURCES)
def test_files_are_short(file):
    length = len((ROOT / file).read_text().splitlines())
    assert length <= (400 if file.startswith("tests/") else 300), f"{file} has {length} lines"


@pytest.mark.parametrize("file", SHIPPED)
def test_functions_are_short(file):
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{file}:{node.lineno}: {node.name} has {length} lines, not 60"


@pytest.mark.parametrize("file", SOURCES)
def test_no_file_is_called_utils(file):
    assert not re.search(r"util|helper|misc|common", file), f"{file}: say what it is for"


@pytest.mark.parametrize("file", SOURCES + TEXTS)
def test_no_file_knows_one_machine_or_index(file):
    machine = r"(?<![\w.])/(work|root|home|opt|mnt|Users)/\w|https?://[^\s)>]*/simple\b"
    found = re.search(machine, (ROOT / file).read_text())
    assert found is None, f"{file} holds {found and found[0]!r}"
