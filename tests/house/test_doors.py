"""What strangers wrote, and what a run leaves, passes one place each, and nobody goes round it."""

import ast
import re
from functools import cache

import pytest

from tests.house.test_architecture import ROOT, SHIPPED, imports

LOADING, SERVERS = {"pretrained/loading.py"}, {"untrusted/servers.py"}
NOBODY: set[str] = set()
DOORS = {
    "from_pretrained": LOADING,
    "from_config": NOBODY,
    "from_file": {"pretrained/spelling.py"},
    "safe_open": {"pretrained/tensors.py"},
    "snapshot_download": LOADING,
    "torch.load": {"training/callbacks/checkpoint_archive.py"},
    "apply_chat_template": NOBODY,
    "from_string": {"pretrained/chat_template.py"},
    **dict.fromkeys(("pickle.load", "pickle.loads", "Unpickler", "joblib.load"), NOBODY),
    **dict.fromkeys(("yaml.load", "yaml.unsafe_load"), NOBODY),
    "import_module": {"modules/kernels/varlen.py"},  # packages by the names that stand there
    **dict.fromkeys(("exec_module", "spec_from_file_location"), NOBODY),
    **dict.fromkeys(("__import__", "eval"), NOBODY),
    "exec": {"runtime/plugins.py"},  # what the user has written and named
    "json.loads": {
        "untrusted/json_text.py",
        "untrusted/killable.py",  # what its own processes say to each other
        "evaluation/statistics/intervals.py",  # what it has just written itself
        "assets/make_tiny.py",
    },
    **dict.fromkeys(("json.load", "raw_decode", "JSONDecoder"), NOBODY),
    "unicodedata.normalize": {"untrusted/composing.py"},
    "create_connection": SERVERS,
    **dict.fromkeys(("open_connection", "urlopen", "urlretrieve", "from_url"), NOBODY),
    "load_dataset": NOBODY,
}
"""Calls that load, run or read what somebody else wrote, or ask for it, with the files that may
make them."""


OWN = {"datamodules/loading/loader.py", "bench/failing.py", "bench/manifest.py"}
"""Files that unpickle what they or their own processes have pickled."""

BENCHES = [str(file.relative_to(ROOT)) for file in (ROOT / "bench").rglob("*.py")]
FREE = {"json.loads", "json.load", "raw_decode", "create_connection", "unicodedata.normalize"}
"""Calls that benches may make."""


@cache
def tree_of(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text())


@cache
def called(file: str) -> set[str]:
    """List what a file calls or names, both bare and behind what it belongs to."""
    found: set[str] = set()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Attribute):
            found |= {node.attr, f"{ast.unparse(node.value)}.{node.attr}"}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.add(node.func.id)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("door", DOORS)
def test_nobody_goes_round_the_one_place(door):
    """Also in benches, but for what these say to themselves."""
    files = [*SHIPPED, *(() if door in FREE else BENCHES)]
    using = {file for file in files if door in called(file)} - OWN
    # `eval` is also what puts a model into evaluation: `model.eval()`, of whom nobody is asked
    if door == "eval":
        using = {file for file in using if bare_calls(file, "eval")}
    assert using <= DOORS[door], f"{door} is called in {sorted(using)}"
    assert using == DOORS[door], f"nobody calls {door} any more: take it off the list"


def bare_calls(file: str, name: str) -> bool:
    calls = [node.func for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call)]
    return any(isinstance(func, ast.Name) and func.id == name for func in calls)


def test_every_door_says_that_nothing_is_run():
    calls = [node for node in ast.walk(tree_of("pretrained/loading.py")) if type(node) is ast.Call]
    loading = [
        {word.arg: ast.unparse(word.value) for word in call.keywords}
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "from_pretrained"
    ]
    assert len(loading) == 4
    assert all(words["trust_remote_code"] == "False" for words in loading)
    assert [words["use_safetensors"] for words in loading if "dtype" in words] == ["True"]


SAFE = {
    **{"allow_pickle": "False", "trust_remote_code": "False"},
    **{"weights_only": "True", "use_safetensors": "True"},
}


def test_np_load_and_torch_load_never_take_pickles():
    for file in SHIPPED:
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.keyword) and node.arg in SAFE:
                assert ast.unparse(node.value) == SAFE[node.arg], file


OPENING = {
    *("socket", "ssl", "http.client", "urllib.request", "urllib3", "requests", "aiohttp", "httpx"),
    *("httpx2", "httpcore2", "openai", "websockets", "ftplib", "smtplib", "telnetlib", "xmlrpc"),
    *("torch.hub", "fsspec", "boto3"),
}
WITHIN = SERVERS | {"runtime/stopping.py", "runtime/watchdog.py"}
"""The one that opens connections, and two that talk to each other over a pair of sockets."""


@pytest.mark.parametrize("file", SHIPPED)
def test_no_other_file_opens_connections(file):
    roots = [root for root in OPENING for one in imports(file) if f"{one}.".startswith(f"{root}.")]
    assert bool(roots) == (file in WITHIN), f"{file} imports {roots}: see untrusted/servers.py"


GOES_ROUND = {
    "datamodules/digits/build.py": "moves directories that it has built beside their place",
    "datamodules/sources/index/table.py": "write_table lets Arrow write into that directory",
    "modules/policy/omni.py": "save lets transformers write into a whole_directory",
    "modules/backbones/adapters.py": "save_adapters lets peft write into a whole_directory",
    "training/run.py": "save lets a processor write into a whole_directory",
    "assets/make_tiny.py": "makes what is committed, not what a run leaves",
    "runtime/runs.py": "opens run.lock, which has no content",
    "datamodules/loading/loader.py": "sends batches through a pipe",
    "training/trace_cache.py": "opens the cache to lock it, and cuts off a torn line",
    "recipes/processes.py": "copies what a step says as it says it, and goes on without",
}
"""Files that write in another way than `runtime/writing.py`, and why they may."""

WRITING = {
    *("write_text", "write_bytes", "save_file", "save_pretrained", "savefig", "tofile"),
    *("mkstemp", "NamedTemporaryFile", "copyfile", "copytree", "move", "truncate"),
    *("rename", "renames", "link", "symlink", "write_table", "savez", "dump", "OSFile"),
}
OF_MODULE = {"torch": {"save"}, "np": {"save", "savez", "savetxt"}, "os": {"replace"}}
GIVEN_A_FILE = (
    "scripts/draw_demo.py",
    "evaluation/auditing/plot.py",
    "evaluation/benchmarking/forest_plot.py",
    "training/callbacks/checkpoints.py",
    "datamodules/contribution/probe_cache.py",
)
"""Files that hand a library what `whole` yields, or a buffer."""


def writes(node: ast.Call) -> bool:
    """Tell whether a call writes a file by itself."""
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    modes = [one.value for one in arguments if isinstance(one, ast.Constant)]
    writing_mode = any(isinstance(m, str) and 0 < len(m) < 4 and {*m} & {*"wax+"} for m in modes)
    if isinstance(node.func, ast.Name):
        return (node.func.id == "open" and writing_mode) or node.func.id == "save_file"
    if not isinstance(node.func, ast.Attribute):
        return False
    name, of = node.func.attr, node.func.value
    module = of.id if isinstance(of, ast.Name) else ""
    moved = name == "replace" and len(node.args) == 1 and not node.keywords
    opened = name == "open" and (writing_mode or re.search(r"O_WR|O_RDWR", ast.unparse(node)))
    nowhere = "devnull" in ast.unparse(node) or module == "av"
    ways = WRITING | OF_MODULE.get(module, set())
    return not nowhere and (bool(opened) or moved or name in ways)


def strays(file: str) -> list[str]:
    """List the calls of a file that write, by line."""
    calls = [node for node in ast.walk(tree_of(file)) if type(node) is ast.Call and writes(node)]
    return [f"{file}:{call.lineno}: {ast.unparse(call)[:60]}" for call in calls]


def test_all_that_a_run_leaves_is_written_in_one_place():
    allowed = {"runtime/writing.py", *GOES_ROUND, *GIVEN_A_FILE}
    found = [stray for file in SHIPPED if file not in allowed for stray in strays(file)]
    assert not found, "write with writing.whole, append or whole_directory:\n" + "\n".join(found)


def test_every_file_that_goes_round_it_still_does():
    assert [file for file in (*GOES_ROUND, *GIVEN_A_FILE) if not strays(file)] == []


def test_the_search_for_strays_finds_each_way_of_writing():
    for way in (
        *("p.open('w')", "open(p, 'ab')", "p.write_text('x')", "os.replace(a, b)"),
        *("a.replace(b)", "torch.save(x, p)", "np.save(p, x)", "p.rename(q)"),
        "os.open(p, os.O_WRONLY)",
    ):
        assert writes(ast.parse(way, mode="eval").body), way
    for way in ("p.open('rb')", "p.open()", "text.replace('a', 'b')", "replace(config, seed=3)"):
        assert not writes(ast.parse(way, mode="eval").body), way
