"""List names and shapes of the tensors in a model directory, without reading them."""

from math import prod
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pretrained.settings import read_object

Shapes = dict[str, tuple[int, ...]]
"""By the name of a tensor."""

INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
BUFFERS = 1 << 26
"""Numbers that a model may compute for itself, such as positions, beyond those that it reads."""


def parts(place: Path) -> list[Path]:
    """List the files of a directory that hold its weights."""
    index, whole = place / INDEX, place / WHOLE
    if not index.is_file():
        return [whole]
    listed = read_object(index).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise ValueError(
            f"{index} does not list the parts of the weights, but says where each tensor lies: "
            "fetch it again, or name another model."
        )
    names = sorted({str(name) for name in listed.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(
                f"{index} names {name!r} as a part of the weights, but all parts are *.safetensors "
                "in the same directory: fetch it again, or name another model."
            )
    beside = [whole] if whole.is_file() and WHOLE not in names else []
    return [*beside, *(place / name for name in names)]


def shapes(place: Path) -> Shapes:
    """Read the shapes of all tensors off the headers, which must agree with the files."""
    found: Shapes = {}
    for file in parts(place):
        if not file.is_file():
            raise ValueError(
                f"{place} has no {file.name}, but weights are read from *.safetensors, whole or "
                "not at all, and never from pickles such as *.bin: fetch what is missing, or save "
                "the weights again as safetensors."
            )
        try:
            with safe_open(file, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118 - it is no mapping
                    found[name] = tuple(opened.get_slice(name).get_shape())
        except SafetensorError as error:
            raise ValueError(
                f"{place} holds weights that cannot be read ({file.name}: {error}), as of a copy "
                "that was cut short, but they are read whole or not at all: fetch or export them "
                "again."
            ) from error
    return found


def check_implied(place: Path, held: Shapes, *, read: int, made: int) -> None:
    """Refuse settings that describe a model far larger than the weights beside them.

    A factor of two leaves room for tensors that a model shares and a file holds once.

    Args:
        held: the shapes of the tensors in the files.
        read: numbers that the model described would read.
        made: numbers that it would compute for itself.
    """
    there = sum(map(prod, held.values()))
    if read > 2 * there or made > there + BUFFERS:
        raise ValueError(
            f"{place / 'config.json'} describes a model of {read + made:,} numbers, but the "
            f"weights beside it hold {there:,}, and all are read from there: fetch both again, or "
            "name another model."
        )
