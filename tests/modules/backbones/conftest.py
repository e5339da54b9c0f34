from pathlib import Path

import pytest
import torch

from datamodules.batch import Completions
from datamodules.prompts.encoder import PromptEncoder


@pytest.fixture(scope="module")
def speaker(path: Path) -> PromptEncoder:
    """What encodes the prompts of the model at `path`, which each file makes for itself."""
    return PromptEncoder(str(path))


@pytest.fixture(scope="module")
def said() -> Completions:
    """Two for each of three prompts, of 1 to 7 tokens."""
    generator = torch.Generator().manual_seed(3)
    rows = [torch.randint(20, 300, (n,), generator=generator).tolist() for n in (3, 1, 7, 2, 5, 4)]
    return Completions.of(rows, [0, 0, 1, 1, 2, 2])
