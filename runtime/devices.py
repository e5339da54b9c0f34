"""Whether there are the GPUs that a run asks for, as far as that is known without torch."""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from configs.running import TrainerConfig

NODES = ("nvidiactl", "nvidia0", "dxg", "kfd", "nvgpu", "nvhost-gpu", "nvmap")
"""Files in /dev by which drivers of GPUs are reached: NVIDIA's, of WSL, of AMD, of Jetson."""

DRIVER = "libcuda.so.1"


def check_devices(settings: TrainerConfig, environ: Mapping[str, str]) -> None:
    """Raise where a GPU is asked for and it is certain that there is none, or too few.

    What cannot be known here, torch says when it is loaded.
    """
    if settings.accelerator != "gpu":
        return
    shown = environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None and shown.split(",")[0].strip() in ("", "-1"):
        raise no_gpu(f"CUDA_VISIBLE_DEVICES={shown!r} hides all")
    if not any(Path("/dev", name).exists() for name in NODES) and not _has_driver():
        raise no_gpu("this machine has no driver of one")
    if shown is not None and len(shown.split(",")) < settings.devices:
        raise too_few(settings.devices, len(shown.split(",")))


def no_gpu(why: str) -> ValueError:
    """Make the error for a GPU that is asked for and not there."""
    return ValueError(
        f"trainer.accelerator=gpu, but {why}, and a run computes where it is told to: set "
        "trainer.accelerator=auto or cpu, or mend the driver."
    )


def too_few(asked: int, found: int) -> ValueError:
    """Make the error for more GPUs than a process sees."""
    return ValueError(
        f"trainer.devices is {asked}, but this process sees {found} GPUs (as "
        f"CUDA_VISIBLE_DEVICES says), and needs all of its node: set trainer.devices={found}, "
        "or show it more; under SLURM ask for --gpus-per-node, not --gpus-per-task."
    )


def _has_driver() -> bool:
    """Whether the library can be loaded by which torch finds GPUs."""
    try:
        ctypes.CDLL(DRIVER, mode=os.RTLD_LAZY)
    except OSError:
        return False
    return True
