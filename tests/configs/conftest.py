"""A folder of settings that a test may change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs import load as loading
from configs import recipes
from configs.paths import FOLDER


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of settings, to put files into."""
    shutil.copytree(FOLDER, tmp_path / "configs", ignore=shutil.ignore_patterns("*.py*"))
    monkeypatch.setattr(loading, "FOLDER", tmp_path / "configs")
    monkeypatch.setattr(recipes, "RECIPES", tmp_path / "configs/recipe")
    loading._chosen.cache_clear()
    yield tmp_path / "configs"
    loading._chosen.cache_clear()
