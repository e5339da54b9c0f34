"""Containers: both files make the same, of a pinned base, without secrets, and not as root."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.house.test_architecture import ORDER

ROOT = Path(__file__).parents[2]
PLACE = "/earwitness/"
SECRET = re.compile(r"(?i)(api_?key|token|password|secret|credential)s?\b")


def instructions() -> list[tuple[str, str]]:
    """List the instructions of the Dockerfile, comments left out and lines joined."""
    text = (ROOT / "containers/Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def sections() -> dict[str, list[str]]:
    """Read the definition file: its head, and the lines of each section."""
    found: dict[str, list[str]] = {"head": []}
    name = "head"
    for line in (ROOT / "containers/earwitness.def").read_text().splitlines():
        if line.startswith("%"):
            name = line[1:]
            found[name] = []
        elif line.strip() and not line.strip().startswith("#"):
            found[name].append(line.strip())
    return found


def copied_by_docker() -> set[tuple[str, str]]:
    """Pair what is copied with its place, which is a file's own name below a directory."""
    pairs = set()
    for words in (shlex.split(rest) for name, rest in instructions() if name == "COPY"):
        *sources, target = words
        for source in sources:
            below = "" if target == "./" else target
            whole = below if (ROOT / source).is_dir() else below + Path(source).name
            pairs.add((source, PLACE + whole.rstrip("/")))
    return pairs


def copied_by_apptainer() -> set[tuple[str, str]]:
    return {tuple(line.split()) for line in sections()["files"]}


def test_both_begin_with_one_base_of_a_version():
    (base,) = [rest for name, rest in instructions() if name == "FROM"]
    assert sections()["head"] == ["Bootstrap: docker", f"From: {base}"]
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+-slim-\w+|[\w./:-]+@sha256:[0-9a-f]{64}", base)


def test_both_copy_the_same_and_every_room():
    pairs = copied_by_docker()
    assert pairs == copied_by_apptainer()
    sources = {source for source, _ in pairs}
    assert {*ORDER, "train.py", "eval.py", "requirements.lock"} <= sources
    assert all(target == PLACE + source for source, target in pairs)
    kept = subprocess.run(
        ["git", "ls-files", "--others", "--cached", "--exclude-standard", *sources],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert {
        source for source in sources if not any(f"{k}/".startswith(f"{source}/") for k in kept)
    } == set()


def test_both_set_up_alike_and_start_alike():
    runs = [rest for name, rest in instructions() if name == "RUN"]
    post = sections()["post"]
    setup = [line for line in post if "scripts/setup.sh" in line]
    assert setup == [run for run in runs if "scripts/setup.sh" in run] and len(setup) == 1
    (entry,) = [rest for name, rest in instructions() if name == "ENTRYPOINT"]
    assert sections()["runscript"] == [f'exec {entry.strip("[]").strip(chr(34))} "$@"']
    assert sections()["environment"] and "HF_HOME" in " ".join(sections()["environment"])


def test_packages_are_installed_before_the_sources_are_copied():
    """Else each change of the code would install all packages again."""
    order = [(name, rest) for name, rest in instructions() if name in ("COPY", "RUN")]
    setup = next(
        n for n, (_, rest) in enumerate(order) if "setup.sh" in rest and order[n][0] == "RUN"
    )
    before = {source for name, rest in order[:setup] for source in rest.split()[:-1]}
    assert before == {"requirements.lock", "scripts/setup.sh", "scripts/uv.txt"}


def test_the_container_does_not_run_as_root():
    """The last user counts; after it nothing is made."""
    names = [name for name, _ in instructions()]
    users = [rest for name, rest in instructions() if name == "USER"]
    assert users == ["1000:1000"]
    assert names.index("USER") > max(n for n, name in enumerate(names) if name in ("RUN", "COPY"))
    assert not re.search(r"\b(sudo|su)\b", " ".join(rest for _, rest in instructions()))


@pytest.mark.parametrize("file", ["Dockerfile", "earwitness.def", "run.sh"])
def test_nothing_secret_is_built_in(file):
    text = (ROOT / "containers" / file).read_text()
    assert SECRET.findall(text) == []
    assert not re.search(r"https?://|\bADD\b|curl|wget|latest", text)


def test_what_lies_beside_the_sources_is_left_out_of_the_build():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    assert {".venv", "data", "runs", "site", "wandb", "wheels", "lightning_logs"} <= kept
    assert {".git", ".venv", "data", "runs", "site", "wandb", "wheels", "lightning_logs"} <= {
        *ignored
    }


def test_the_entry_runs_a_script_where_it_is_called(tmp_path):
    script = ROOT / "containers/run.sh"
    words = ["bash", str(script), "eval.py", "stage=audit", "run.root=here", "--print-config"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "root: here" in done.stdout, done.stderr
    none = subprocess.run(["bash", script], capture_output=True, text=True)
    assert none.returncode != 0 and "name a script" in none.stderr


def test_where_nothing_can_build_it_is_said_and_is_no_failure(tmp_path):
    """A PATH with the basics, without any tool for containers."""
    for name in ("bash", "dirname", "sed", "env"):
        (tmp_path / name).symlink_to(Path("/usr/bin") / name)
    done = subprocess.run(
        ["/usr/bin/bash", ROOT / "scripts/containers.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 75
    assert done.stderr.count("SKIPPED: ") == 3 and done.stderr.count("not installed") == 3
