"""The page on security: every threat is held by tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs/security.md").read_text().splitlines()
THREATS = [line for line in LINES if line.startswith("| ") and "held by" not in line]


def test_every_threat_names_a_test_that_is_there():
    assert len(THREATS) > 20
    for line in THREATS:
        *_, held, _ = line.split("|")
        named = re.findall(r"`(tests/[\w/]*test_\w+\.py)`", held)
        assert named, line
        for file in named:
            assert "def test_" in (ROOT / file).read_text(), file


def test_every_threat_says_who_what_and_what_becomes_of_it():
    for line in THREATS:
        who, what, outcome = (cell.strip() for cell in line.split("|")[1:4])
        assert who and what and outcome, line
