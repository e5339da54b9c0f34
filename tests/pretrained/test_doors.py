"""One place loads what others wrote, and nobody goes round it."""

import ast
from functools import cache

import pytest

from tests.house.test_architecture import ROOT, SHIPPED

DOORS = {
    "from_pretrained": "pretrained/loading.py",
    "from_config": "nowhere",
    "from_file": "pretrained/spelling.py",
    "safe_open": "pretrained/tensors.py",
    "snapshot_download": "pretrained/loading.py",
    "torch.load": "training/callbacks/checkpoint_archive.py",
    "apply_chat_template": "nowhere",
    "from_string": "pretrained/chat_template.py",
    "pickle.load": "nowhere",
    "pickle.loads": "nowhere",
    "Unpickler": "nowhere",
    "joblib.load": "nowhere",
    "yaml.load": "nowhere",
    "yaml.unsafe_load": "nowhere",
    "import_module": "nowhere",
    "exec_module": "nowhere",
    "spec_from_file_location": "nowhere",
    "__import__": "nowhere",
    "eval": "nowhere",
    "exec": "nowhere",
}
"""Calls that load or run what somebody else wrote, with the one file that may make them."""


OWN = {"datamodules/loading/loader.py", "bench/failing.py", "bench/manifest.py"}
"""Files that unpickle what they or their own processes have pickled."""


@cache
def called(file: str) -> set[str]:
    """List what a file calls or names, both bare and behind what it belongs to."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Attribute):
            found |= {node.attr, f"{ast.unparse(node.value)}.{node.attr}"}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.add(node.func.id)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("door", DOORS)
def test_nobody_goes_round_the_one_place_that_loads(door):
    """Also in benches."""
    files = [*SHIPPED, *(str(file.relative_to(ROOT)) for file in (ROOT / "bench").glob("*.py"))]
    using = {file for file in files if door in called(file)} - OWN
    # `eval` is also what puts a model into evaluation: `model.eval()`, of whom nobody is asked
    if door == "eval":
        using = {file for file in using if bare_calls(file, "eval")}
    assert using <= {DOORS[door]}, f"{door} is called in {sorted(using)}"
    assert using or DOORS[door] == "nowhere", f"nobody calls {door} any more: take it off the list"


def bare_calls(file: str, name: str) -> bool:
    nodes = ast.walk(ast.parse((ROOT / file).read_text()))
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    return any(isinstance(func, ast.Name) and func.id == name for func in calls)


def test_every_door_says_that_nothing_is_run():
    tree = ast.parse((ROOT / "pretrained/loading.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    loading = [
        {word.arg: ast.unparse(word.value) for word in call.keywords}
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "from_pretrained"
    ]
    assert len(loading) == 4
    assert all(words["trust_remote_code"] == "False" for words in loading)
    assert [words["use_safetensors"] for words in loading if "dtype" in words] == ["True"]


def test_np_load_and_torch_load_never_take_pickles():
    for file in SHIPPED:
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.keyword):
                said = ast.unparse(node.value)
                assert not (node.arg == "allow_pickle" and said != "False"), file
                assert not (node.arg in ("weights_only", "use_safetensors") and said != "True"), (
                    file
                )
                assert not (node.arg == "trust_remote_code" and said != "False"), file
