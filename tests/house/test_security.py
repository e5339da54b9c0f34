"""The page on security: every threat names a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs/security.md").read_text().splitlines()
THREATS = [line for line in LINES if line.startswith("| ") and not line.startswith("| from |")]


def test_every_threat_names_a_test_that_is_there():
    assert len(THREATS) > 20
    for line in THREATS:
        *_, held, _ = line.split("|")
        named = re.findall(r"`(tests/[\w/]*test_\w+\.py)`", held)
        assert named, line
        for file in named:
            assert "def test_" in (ROOT / file).read_text(), file


def test_every_threat_says_its_source_and_its_outcome():
    for line in THREATS:
        source, attempt, outcome = (cell.strip() for cell in line.split("|")[1:4])
        assert source and attempt and outcome, line
