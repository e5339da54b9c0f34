"""What is installed is locked: each package by its hashes, and none that was stolen."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "scripts/uv.txt")
STOLEN = {
    f"{name}=={version}"
    for name in ("lightning", "pytorch-lightning")
    for version in ("2.6.2", "2.6.3")
}


def packages(lock: str) -> list[str]:
    """List what a lock installs, each with its hashes in one line."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_locked_to_one_version_and_its_hashes(lock):
    assert packages(lock)
    for line in packages(lock):
        assert re.match(r"[\w.-]+==[\w.+-]+\s", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line


def test_the_stolen_releases_of_lightning_are_not_locked():
    locked = {line.split()[0] for line in packages("requirements.lock")}
    assert {name.split("==")[0] for name in STOLEN} <= {name.split("==")[0] for name in locked}
    assert not locked & STOLEN


def test_packages_come_from_no_place_but_the_index_with_their_hashes():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"^(-e|--index|--extra|--find|git\+|https?:)", text, re.MULTILINE)
    assert "--require-hashes" in (ROOT / "scripts/setup.sh").read_text()
