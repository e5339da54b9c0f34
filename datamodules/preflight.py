"""Check what can be known of a run before torch is imported, and before it has a directory."""

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path

from configs.launching import TRAINS
from configs.schema import Config
from datamodules.contamination.splits import check_names
from datamodules.sources.first_rows import check_manifests
from pretrained.finding import check_weights
from pretrained.tensors import shapes
from runtime.devices import check_devices
from runtime.places import check_places, nearest
from runtime.runs import follows
from runtime.serving import check_server

POLICY = "thinker."
"""Begin of the names of what is trained, in models with parts that speak as well."""

BYTES = {"float32": 4, "bfloat16": 2}

log = logging.getLogger(__name__)


def check_before(config: Config) -> None:
    """Raise what would end a run later: places, devices, manifests, weights.

    The processes that follow a leader leave it to that one.
    """
    if follows() or config.stage == "runs":
        return
    check_places(config)
    check_devices(config.trainer, os.environ)
    if config.stage in TRAINS:
        check_names(config.data)
    # A preview shows what is set aside, also where that is all.
    shown = config.stage == "preview"
    data = replace(config.data, max_bad_share=1.0) if shown else config.data
    check_manifests(data, manifests_of(config))
    if config.stage == "probe" and config.probe.backend == "openai":
        _check_server(config)
    for setting, path in weights_named(config):
        check_weights(path, setting)
    if config.stage in TRAINS:
        disk = os.statvfs(nearest(Path(config.run.root)))
        check_room(config, free=disk.f_bavail * disk.f_frsize)


def check_room(config: Config, *, free: int) -> None:
    """Raise where the weights alone that a training leaves take more bytes than are free.

    Those of models on the hub are not known, and neither are checkpoints, which follow from what is
    trained.
    """
    place = Path(config.init_from or config.model.path)
    if not place.is_dir():
        return
    held = shapes(place)
    kept = {name: shape for name, shape in held.items() if name.startswith(POLICY)} or held
    needed = sum(map(prod, kept.values())) * BYTES[config.model.dtype]
    if needed > free:
        raise ValueError(
            f"run.root is {config.run.root}, where {free:,} bytes are free, but the weights that "
            f"this run leaves take {needed:,}, and its checkpoints more: free space, or choose "
            "another disk with run.root=DIRECTORY."
        )


def _check_server(config: Config) -> None:
    """Raise where nobody answers; say so where the answers may be cached already."""
    cache = Path(config.data.root, config.data.contribution.cache)
    try:
        check_server(config.probe.server)
    except ValueError as error:
        if not (cache.is_dir() and any(cache.iterdir())):
            raise
        log.warning("%s: %s Cached answers are read all the same.", config.stage, error)


def manifests_of(config: Config) -> list[str]:
    """List the manifests that a stage reads."""
    match config.stage:
        case "probe":
            return [config.probe.split]
        case "audit":
            return [config.audit.split]
        case "clean":
            return config.clean.sets
        case "benchmark":
            return config.benchmark.sets
        case "preview":
            return [config.data.train]
        case "compare" | "push" | "runs":
            return []
        case _:
            data = config.data
            scored = config.trainer.val_check_interval and not data.val_share
            return [data.train, *([data.val] if scored else [])]


def weights_named(config: Config) -> Iterator[tuple[str, str]]:
    """List the weights that a stage loads, with the settings that name them."""
    stage, distill = config.stage, config.distill
    if stage in ("preview", "audit", "clean", "compare", "push", "runs"):
        return
    yield ("init_from", config.init_from) if config.init_from else ("model.path", config.model.path)
    if stage == "probe":
        yield from (("probe.checkpoints", path) for path in config.probe.checkpoints)
    if stage == "benchmark":
        yield from (("benchmark.checkpoints", path) for path in config.benchmark.checkpoints)
    if stage == "distill" and distill.method == "on_policy" and distill.teacher != "reference":
        yield "distill.teacher", distill.teacher
    if stage == "prealign":
        named = {"reader": config.prealign.reader, "judge": config.prealign.judge}
        yield from ((f"prealign.{name}", path) for name, path in named.items() if path)
