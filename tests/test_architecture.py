"""Tests of the house itself: imports point one way, pure files stay pure, files stay short."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {  # folder or file -> the local packages and modules it may import, besides itself
    "configs": set(),
    "writing": set(),
    "caching": {"writing"},
    "runs": {"configs", "writing"},
    "stopping": set(),
    "watchdog": set(),
    "opening": set(),
    "failures": {"configs", "writing"},
    "console": {"configs", "stopping", "failures", "opening"},
    "archives": set(),
    "checkpoints": {"writing", "archives"},
    "pretrained": {"configs"},
    "datamodules": {"configs", "writing", "caching", "pretrained", "stopping"},
    "modules": {
        *("configs", "writing", "caching", "pretrained"),
        *("datamodules.batch", "datamodules.sample"),
    },
    "recipes": {"configs", "writing", "runs", "stopping", "datamodules", "comparing", "pretrained"},
}
RULES = (
    *("contribution", "presets", "calibration", "shapley", "voters", "selection"),
    *("mixture", "traces", "clean_view", "splits", "leaks", "near_duplicates"),
    *("known_tests", "benchmark_names"),
)
JUDGES = (
    *("verifiers", "extraction", "readings", "similarity", "rewards", "math_answers"),
    *("evidence", "trace_filters", "conclusions", "official", "official_rules"),
)
PLAIN = (
    *("sample", "media", "decoders", "stills", "films", "budgets", "media_cache", "ablation"),
    *("orders", "wording", "probe_cache", "probe_scores", "probe_shards"),
    *("frame_choice", "demuxing", "tracks", "animations"),
)
NO_TORCH = (
    "configs/",
    *("writing.py", "caching.py", "runs.py", "stopping.py", "watchdog.py", "opening.py"),
    *("failures.py", "console.py"),
    *(f"modules/{name}.py" for name in JUDGES),
    *(f"datamodules/{name}.py" for name in RULES + PLAIN),
    "datamodules/sources/",
    "datamodules/containers/",
    "auditing/",
    "recipes/",
    *("pretrained/settings.py", "pretrained/tensors.py", "pretrained/chat_template.py"),
)
TORCH_ONLY = ("modules/losses.py", "modules/advantages.py", "modules/kernels/")
FOLDERS = (
    *("configs", "pretrained", "datamodules", "modules"),
    *("probing", "auditing", "benchmarking", "recipes"),
)
TOP = {
    *MAY_IMPORT,
    *FOLDERS,
    "bench",
    "tests",
    "assets",
    *(path.stem for path in ROOT.glob("*.py")),
}

SOURCES = sorted(
    str(path.relative_to(ROOT))
    for folder in (*FOLDERS, "bench", "assets", "tests", "scripts")
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
    assert {"configs/load.py", "datamodules/batch.py", "runs.py"} <= {*ARROWS}
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
        "import sys, configs.load, console, runs;"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", [file for file in SHIPPED if file.startswith(TORCH_ONLY)])
def test_losses_and_kernels_need_torch_only(file):
    allowed = {"torch", "modules.kernels", *sys.stdlib_module_names}
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
