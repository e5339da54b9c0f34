"""Load configs, processors and weights of a model directory, without running code of it.

transformers trusts a directory: it imports Python files that settings name (or asks on
the terminal whether it should), reads pickles, follows settings to other places, and allocates what
is described. Here a directory is looked at first, with a model of the hub fetched as files before,
and errors of libraries become a sentence that names the directory.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import nn
from transformers import (
    AutoConfig,
    AutoProcessor,
    PretrainedConfig,
    PreTrainedModel,
)

from pretrained.settings import check_settings
from pretrained.spelling import check_tokenizer, gave_up
from pretrained.tensors import check_implied, shapes
from untrusted.terminal import first_line

SETTINGS = ("*.json", "*.txt", "*.model", "*.jinja", "README.md")
WEIGHTS = ("*.safetensors",)
"""What is fetched from the hub: data in the top directory, never Python files or pickles."""


def directory_of(path: str, *, weights: bool) -> Path:
    """Name the directory of a model, fetching it from the hub where it is none.

    Args:
        weights: whether they are wanted too.
    """
    place = Path(path)
    if place.is_dir():
        return place
    wanted = [*SETTINGS, *(WEIGHTS if weights else ())]
    try:
        return Path(snapshot_download(path, allow_patterns=wanted, ignore_patterns=["*/*"]))
    except (OSError, ValueError) as error:  # no such place, or no answer
        raise ValueError(
            f"{path} is neither a directory with a model and its processor, nor a model that can "
            f"be fetched from the hub ({first_line(error)[:300]}). Check whichever setting names "
            "it, such as model.path, init_from, benchmark.checkpoints, distill.teacher or "
            "prealign.reader; a run leaves its weights in RUN/export."
        ) from error


def commit_of(path: str) -> str | None:
    """Name the commit of a model of the hub; a directory has none."""
    return None if Path(path).is_dir() else directory_of(path, weights=False).name


def open_config(path: str) -> PretrainedConfig:
    """Read the config of a model: its type and sizes."""
    place = directory_of(path, weights=False)
    check_settings(place)
    with said_of(path, "config.json"):
        config: PretrainedConfig = AutoConfig.from_pretrained(place, trust_remote_code=False)
    return config


def open_processor(path: str) -> Any:  # the classes of transformers share no typed base
    """Read the processor of a model, or the tokenizer of a model of text."""
    place = directory_of(path, weights=False)
    check_settings(place)
    check_tokenizer(place)
    with said_of(path, "the tokenizer or processor"):
        return AutoProcessor.from_pretrained(place, trust_remote_code=False)


def open_weights(
    kind: type[PreTrainedModel], path: str, *, dtype: torch.dtype
) -> tuple[PreTrainedModel, dict[str, Sequence[object]]]:
    """Read the weights of a directory into a model, with a report of tensors that do not fit.

    What is described is compared with the files before anything of its size is allocated.
    """
    place = directory_of(path, weights=True)
    check_settings(place)
    held = shapes(place)
    assert kind.config_class is not None, "a class that can be loaded has one"
    with said_of(path, "config.json"), torch.device("meta"):
        described = kind.config_class.from_pretrained(place, trust_remote_code=False)
        outline = kind(described)  # without memory for its numbers
    check_implied(place, held, read=_count(outline.parameters()), made=_count(outline.buffers()))
    with said_of(path, "the model"):
        # typed as a model alone, but a pair with output_loading_info
        loaded: Any = kind.from_pretrained(
            place,
            dtype=dtype,
            attn_implementation="sdpa",
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported, never ignored
            use_safetensors=True,
            trust_remote_code=False,
        )
    model, report = loaded
    for name, weight in model.named_parameters():
        if not bool(weight.isfinite().all()):
            raise ValueError(
                f"{path} holds weights that are infinite or NaN (first: {name}), and whatever is "
                "computed with them is too: take a checkpoint from before they went wrong, or "
                "fetch the weights again."
            )
    return model, report


def _count(tensors: Iterator[nn.Parameter] | Iterator[torch.Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


@contextmanager
def said_of(path: str, what: str, kinds: type[Exception] = Exception) -> Iterator[None]:
    """Turn errors of a library into a sentence that names the directory.

    Args:
        kinds: of errors; by default all, for over what a stranger wrote libraries raise anything.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except BaseException as error:
        if not (isinstance(error, kinds) or gave_up(error)):
            raise
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(
            f"{path}: {what} cannot be loaded ({type(error).__name__}: {first_line(error)[:300]}), "
            "but a model is read as transformers saves it: fetch the directory again, or correct "
            "whichever setting names it; a run leaves its weights in RUN/export."
        ) from error
