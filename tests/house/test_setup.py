"""Setting up without internet, or behind an index of one's own: a small lock, and a real uv."""

import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEEL = "greeting-1.0-py3-none-any.whl"
NOWHERE = "http://127.0.0.1:9/packages"
UV = shutil.which("uv", path=f"{os.environ['PATH']}:{ROOT / '.venv/uv/bin'}")

needs_uv = pytest.mark.skipif(UV is None, reason="there is no uv, which make setup brings along")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts beside a lock of one package, and its wheel in `wheels`."""
    for name in ("setup.sh", "wheels.sh", "uv.txt"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / WHEEL, "w") as wheel:
        about = "greeting-1.0.dist-info"
        wheel.writestr("greeting.py", 'WORD = "hello"\n')
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "greeting.py,,\n")
    digest = hashlib.sha256((tmp_path / "wheels" / WHEEL).read_bytes()).hexdigest()
    (tmp_path / "requirements.lock").write_text(f"greeting==1.0 --hash=sha256:{digest}\n")
    return tmp_path


def run(checkout: Path, script: str, *words: str, **environ: str) -> subprocess.CompletedProcess:
    """Run a script with uv on the PATH, and without this machine's own indexes and caches."""
    own = {n: v for n, v in os.environ.items() if not n.startswith(("UV_", "PIP_", "WHEELS"))}
    own |= {"PIP_CONFIG_FILE": "/dev/null", "UV_CACHE_DIR": str(checkout / "cache"), **environ}
    own["UV_NO_CONFIG"] = "1"
    own["PATH"] = f"{Path(UV).parent if UV else ''}:{own['PATH']}"
    command = ["bash", str(checkout / "scripts" / script), *words]
    return subprocess.run(command, env=own, capture_output=True, text=True)


def greets(checkout: Path) -> bool:
    command = [checkout / ".venv/bin/python", "-c", "import greeting; print(greeting.WORD)"]
    return subprocess.run(command, capture_output=True, text=True).stdout == "hello\n"


@needs_uv
def test_wheels_of_a_directory_are_installed_without_an_index(checkout):
    done = run(checkout, "setup.sh", WHEELS="wheels", UV_DEFAULT_INDEX=NOWHERE)
    assert done.returncode == 0, done.stderr
    assert greets(checkout)
    stamp = checkout / ".venv/installed.lock"
    assert stamp.read_text() == (checkout / "requirements.lock").read_text()


@needs_uv
def test_another_environment_has_the_python_that_is_named(checkout):
    """And none where that one is not there: tests on another Python must be of that Python."""
    named = {"WHEELS": "wheels", "VENV": "other"}
    done = run(checkout, "setup.sh", **named, PYTHON="python3.999")
    assert done.returncode != 0 and not (checkout / "other/installed.lock").exists()
    done = run(checkout, "setup.sh", **named, PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    assert [*(checkout / "other").rglob("greeting.py")] and not (checkout / ".venv").exists()


@needs_uv
def test_a_wheel_that_is_not_the_locked_one_is_refused(checkout):
    with zipfile.ZipFile(checkout / "wheels" / WHEEL, "a") as wheel:
        wheel.writestr("more.py", "")
    done = run(checkout, "setup.sh", WHEELS="wheels")
    assert done.returncode != 0 and "ash mismatch" in done.stderr
    assert not (checkout / ".venv/installed.lock").exists()


@needs_uv
def test_a_wheel_that_is_missing_is_not_looked_for_elsewhere(checkout):
    (checkout / "wheels" / WHEEL).unlink()
    done = run(checkout, "setup.sh", WHEELS="wheels")
    assert done.returncode != 0 and "greeting" in done.stderr


def test_a_directory_that_is_not_there_is_named_with_the_way_out(checkout):
    done = run(checkout, "setup.sh", WHEELS="elsewhere")
    assert done.returncode == 2
    assert "WHEELS is elsewhere, which is no directory" in done.stderr
    assert "make wheels WHEELS=elsewhere" in done.stderr


@pytest.fixture
def index(checkout: Path) -> Iterator[tuple[str, list[str]]]:
    """An index of packages on loopback, and the paths that it was asked for."""
    asked: list[str] = []
    page = checkout / "index/packages/greeting"
    page.mkdir(parents=True)
    (checkout / "wheels" / WHEEL).rename(page / WHEEL)
    (page / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    handler = partial(Handler, directory=checkout / "index")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/packages", asked
        server.shutdown()


@needs_uv
@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_an_index_of_ones_own_is_asked_by_whichever_name_it_has(checkout, index, name):
    address, asked = index
    done = run(checkout, "setup.sh", **{name: address})
    assert done.returncode == 0, done.stderr
    assert greets(checkout)
    assert any(path.endswith(WHEEL) for path in asked)


@needs_uv
def test_wheels_are_downloaded_from_it_with_their_hashes_checked(checkout, index):
    address, _ = index
    (checkout / "scripts/uv.txt").write_text("")
    done = run(checkout, "wheels.sh", "taken", PIP_INDEX_URL=address)
    assert done.returncode == 0, done.stderr
    assert [file.name for file in (checkout / "taken").iterdir()] == [WHEEL]
    assert run(checkout, "setup.sh", WHEELS="taken").returncode == 0
    assert greets(checkout)
    lock = checkout / "requirements.lock"
    lock.write_text(lock.read_text()[:-5] + "0000\n")
    done = run(checkout, "wheels.sh", "again", PIP_INDEX_URL=address)
    assert done.returncode != 0 and "HASH" in done.stderr.upper()
