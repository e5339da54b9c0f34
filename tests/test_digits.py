"""The embedded digits set, built small: what its files hold, and that its truth is true."""

import dataclasses
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from datamodules.batch import ANSWER_TYPES, LETTERS
from datamodules.digits import build as digits
from datamodules.digits.pictures import SIDE, Picture
from datamodules.digits.shelf import Amount, Deck
from datamodules.digits.speech import ACCENTS, Voice, espeak, speakers

AMOUNT = Amount(
    questions=400, pictures=20, drawings=2, voices=0.25, clips=20, pairs=4, sounds=8, films=20
)
SMALL = digits.Sizes(
    splits=dict.fromkeys(("warm", "train", "val", "test"), AMOUNT),
    human_questions=40,
    human_takes=1,
)
FAMILIES = {
    "text", "shortcut", "see", "hear", "either", "sum", "compare", "same", "order", "film",
    "media_options", "sound", "set", "larger",
}  # fmt: skip


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "digits"
    digits.ensure(folder, sizes=SMALL)
    return folder


def read(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def rows(root: Path) -> list[dict]:
    return [row for file in sorted(root.glob("*.jsonl")) for row in read(file)]
