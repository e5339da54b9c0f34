"""A model directory to be damaged, and how what is wrong with it is told."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datamodules.prompts.encoder import PromptEncoder
from modules.policy.omni import OmniModel


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped model, to be damaged."""
    return Path(shutil.copytree("assets/tiny", tmp_path / "model"))


@pytest.fixture(scope="module")
def words() -> Any:
    return PromptEncoder("assets/tiny").tokenizer


def put(file: Path, *keys_and_value: Any) -> None:
    """Set something in a JSON file, however deep."""
    *keys, last, value = keys_and_value
    content = json.loads(file.read_text()) if file.exists() else {}
    place = content
    for key in keys:
        place = place.setdefault(key, {})
    place[last] = value
    file.write_text(json.dumps(content))


def refusal(model: Path, words: object) -> str:
    """Open a directory as probes and runs do, and return the sentence that refuses it."""
    with pytest.raises(ValueError) as caught:
        PromptEncoder(str(model))
        OmniModel.load(str(model), words)
    assert type(caught.value) is ValueError
    assert str(model) in str(caught.value), "whose fault it is must be told"
    return str(caught.value)
