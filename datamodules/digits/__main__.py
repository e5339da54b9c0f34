"""Make the digits set: `python -m datamodules.digits [--root data/digits]`."""

import argparse
import logging
from pathlib import Path

from datamodules.digits.build import ensure
from untrusted.json_text import json_of

log = logging.getLogger(__name__)


def main() -> None:
    """Build the set where it is missing, and say what it holds."""
    parser = argparse.ArgumentParser(prog="python -m datamodules.digits", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("data/digits"))
    root = parser.parse_args().root
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    ensure(root)
    for split, families in json_of((root / "digits.json").read_text())["counts"].items():
        listed = ", ".join(f"{family} {count}" for family, count in families.items())
        log.info("%s: %d questions (%s)", split, sum(families.values()), listed)


if __name__ == "__main__":
    main()
