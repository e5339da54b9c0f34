"""Two users of one group share caches and roots: what each writes the other can use, or is told."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datamodules.contribution.probe_cache import read_rows
from evaluation.benchmarking.answers import read_answers
from tests.datamodules.contribution.test_probe_cache import KEY

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become two other users of a group"
)
ROOT = Path(__file__).parents[2]
GROUP, ANNE, BERT = 6000, 4711, 4712

CODE = """
import codecs, json, os, sys
from pathlib import Path
from datamodules.contribution.probe_cache import compact, describe_probe, read_rows, write_shard
from evaluation.benchmarking.answers import Answer, AnswerKey, append_answers
from evaluation.benchmarking.answers import describe_key, new_file
from runtime.caching import Cache
from runtime.failures import explain
from runtime.writing import write_text
from tests.datamodules.contribution.test_probe_cache import KEY, row

place, user, umask, number = Path(sys.argv[1]), *map(int, sys.argv[2:])
codecs.lookup("utf-8-sig")  # which that user may not load from where Python lies
os.umask(umask)
os.setgroups([])
os.setresgid(6000, 6000, 6000)
os.setresuid(user, user, user)
made = {}

def attempt(name, action):
    try:
        made[name] = action()
    except OSError as error:
        made[name] = explain(error, None)

def probe():
    describe_probe(place / "probes", KEY, {"model": "m"})
    write_shard(place / "probes", [row(number)])

def answer():
    describe_key(place / "answers/k", {})
    key = AnswerKey(content_hash="a", id=str(number), condition="full", how="absent", order=0)
    append_answers(new_file(place / "answers/k"), {key: Answer(prompt="?", completion="yes")})

def keep():
    cache = Cache(place / "cache", gigabytes=1, holds="tests", setting="a setting")
    cache.keep(f"ab/{number}", b"five!")
    return [n for n in (1, 2) if cache.find(f"ab/{n}", bytes, numbers=9) == b"five!"]

attempt("probe", probe)
attempt("answer", answer)
attempt("cached", keep)
attempt("compact", lambda: compact(place / "probes", KEY) is not None)
attempt("read", lambda: read_rows(place / "probes", KEY).num_rows)
attempt("replace", lambda: write_text(place / "views.json", str(number)))
print(json.dumps(made, default=str))
"""


def use(place: Path, user: int, number: int, *, umask: int) -> dict[str, object]:
    words = [str(place), str(user), str(umask), str(number)]
    command = [sys.executable, "-c", CODE, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found | {"warned": done.stderr}


@pytest.fixture
def shared(open_to_all: Path) -> Path:
    """A directory of the group, whose files are the group's, too: `chmod 2775`."""
    place = open_to_all / "shared"
    place.mkdir()
    os.chown(place, 0, GROUP)
    place.chmod(0o2775)
    return place


def test_with_umask_002_each_goes_on_where_the_other_ended(shared):
    first, second = (use(shared, user, n, umask=0o002) for n, user in ((1, ANNE), (2, BERT)))
    assert (first["cached"], second["cached"]) == ([1], [1, 2])
    assert (first["read"], second["read"]) == (1, 2)
    assert second["compact"] is True  # files of the other replaced by one
    assert first["warned"] == second["warned"] == ""
    assert read_rows(shared / "probes", KEY).num_rows == 2
    assert {key.id for key in read_answers(shared / "answers/k")} == {"1", "2"}
    assert (shared / "views.json").read_text() == "2"
    made = [*shared.rglob("*")]
    assert {path.stat().st_gid for path in made} == {GROUP}
    assert {oct(path.stat().st_mode & 0o7777) for path in made if path.is_dir()} == {"0o2775"}
    assert {oct(path.stat().st_mode & 0o7777) for path in made if path.is_file()} == {"0o664"}


def test_without_it_the_other_reads_and_is_told_what_a_group_needs(shared):
    """The second may read all of it, and cannot write; what is only cached costs a warning."""
    use(shared, ANNE, 1, umask=0o022)
    found = use(shared, BERT, 2, umask=0o022)
    assert (found["read"], found["cached"]) == (1, [1])
    for what in ("probe", "answer"):
        assert "may not be used by this user (Permission denied)" in found[what], found
        assert f"belongs to user {ANNE}" in found[what] and "umask 002" in found[what]
    assert "grows no further" in found["warned"]
    assert found["replace"] is None and (shared / "views.json").read_text() == "2"
