"""Explain errors of disks, memory, devices, libraries and peers in one sentence with the way out.

A ValueError is a sentence already. What is not explained here is a bug, and keeps its traceback.
"""

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from operator import attrgetter
from pathlib import Path

from configs.schema import SAMPLED, Config
from runtime.writing import FULL

ANSWER_READING = (json.JSONDecodeError, UnicodeError)
"""ValueErrors of Python that name neither the file nor a way out."""

CROWDED = re.compile(
    r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED"
    r"|can't allocate memory|not enough memory"
)
SHARED_MEMORY = re.compile(r"Bus error|shared memory|unable to mmap|/dev/shm|/torch_\d+")
PEERS = re.compile(
    r"Connection (?:closed|reset) by peer|Connection refused|\bgloo\b|\bNCCL\b|ProcessGroup"
    r"|Timed out (?:initializing|waiting)|Broken pipe|failed to connect|has timed out"
    r"|timeout caused pair closure"
)
SILENT = re.compile(r"waiting \d+ms for|timeout caused pair closure|operation timeout")
"""Of those, the words for a process that is there, and says nothing."""

NO_GPU = re.compile(
    r"NVIDIA driver|CUDA driver|no kernel image|No CUDA GPUs|CUDA-capable device|invalid device ord"
)

HOMELESS = re.compile(r"[Cc]ould not determine home directory|getpwuid\(\): uid not found")
FORBIDDEN = (errno.EACCES, errno.EPERM)
LOCKLESS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
GOES_ON = "What was written before stays whole, and the same command goes on from there."
MISPLACED = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
BESIDE_DATA = ("data.contribution.cache", "benchmark.cache", "distill.rejection_sampling.cache")
"""Caches that lie in data.root, unless they are given as absolute paths."""

PLACES = (
    *("data.media_cache", "model.tower_cache", *BESIDE_DATA, "sft.traces", "init_from"),
    *("model.path", "data.root", "run.root"),
)
"""Settings that name a place, those within others first."""

MANY_FILES = (errno.EMFILE, errno.ENFILE)


def explain(error: BaseException, config: Config | None = None) -> str | None:
    """Explain an error: what went wrong, the rule, and the way out; None for a bug.

    Args:
        config: of the run, for what can be lowered or placed elsewhere.
    """
    for each in _causes(error):
        if isinstance(each, ValueError):
            found = None if isinstance(each, ANSWER_READING) else str(each)
        elif isinstance(each, MemoryError):
            found = _crowded("this machine's memory is used up", config)
        elif isinstance(each, OSError):
            found = _of_system(each, config)
        else:
            found = _of_library(each, config)
        if found is not None:
            return found
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to its causes, since libraries wrap each other's."""
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__


def _of_library(error: BaseException, config: Config | None) -> str | None:
    """Explain an error of a library by its class name and message, so that none is imported."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    # CUDA and gloo append pages of advice, and the line in C++ that raised.
    words = re.sub(r"^\[.*?\][\s.]*", "", str(error)).strip() or type(error).__name__
    first = words.splitlines()[0].split(". ")[0].rstrip(".")[:300]
    if "MisconfigurationException" in kinds:
        return f"Lightning takes no such trainer settings ({first}): change those that it names."
    if "Too many open files" in words or "os error 24" in words:
        return _many_files(first)
    if HOMELESS.search(words):
        return (
            f"this user has no home directory ({first}), where libraries keep settings and caches: "
            "set HOME to a directory that can be written."
        )
    if "SafetensorError" in kinds:
        return (
            f"a file of weights could not be read or written ({first}), but weights are used whole "
            "or not at all: fetch it again if it was read, free space if it was written."
        )
    if "PanicException" in kinds:
        return (
            f"a library in Rust gave up ({first}), as tokenizers do over texts and files that they "
            "were not made for: fetch the model again, or name another."
        )
    if "RuntimeError" not in kinds:
        return None
    if "OutOfMemoryError" in kinds or CROWDED.search(words):
        gpu = "CUDA" in words or "GPU" in words or "CUBLAS" in words or "CUDNN" in words
        return _crowded("the GPU's memory" if gpu else "this machine's memory", config, said=first)
    if SHARED_MEMORY.search(words):
        return (
            f"/dev/shm has too little shared memory ({first}), by which processes that train "
            "together talk to each other: start the container with a larger one (docker run "
            "--shm-size=8g), or set trainer.devices=1."
        )
    if "DistError" in kinds or PEERS.search(words):
        return _peers(words, first)
    if NO_GPU.search(words):
        return (
            f"the GPU cannot be used ({first}), but trainer.accelerator asks for one: mend the "
            "driver, or set trainer.accelerator=cpu."
        )
    return None


def _crowded(what: str, config: Config | None, *, said: str = "") -> str:
    """Name the settings that save memory in this stage, with their current values."""
    lower = ", ".join(_lower(config)) if config is not None else "fewer prompts at once"
    told = f"{what} is used up" if said else what
    return f"{told}{f' ({said})' if said else ''}, and nothing is cut without being asked: {lower}."


def _lower(config: Config) -> Iterator[str]:
    """List settings that save memory, those that change results least first."""
    stage, model, trainer = config.stage, config.model, config.trainer
    counted: dict[str, int] = {}
    if stage == "probe":
        counted["probe.batch_size"] = config.probe.batch_size
    elif stage == "benchmark":
        counted["benchmark.batch_size"] = config.benchmark.batch_size
    else:
        if stage in ("sft", "distill") and config.sft.pack_tokens:
            yield f"lower sft.pack_tokens (now {config.sft.pack_tokens})"
        elif trainer.batch_size > 1:
            yield (
                f"lower trainer.batch_size (now {trainer.batch_size}) and raise "
                f"trainer.accumulate_grad_batches (now {trainer.accumulate_grad_batches}) as much"
            )
        if not model.gradient_checkpointing:
            yield "set model.gradient_checkpointing=true"
        if not model.lora.rank:
            yield "train adapters with model.lora.rank=16"
        if not model.freeze_towers:
            yield "set model.freeze_towers=true"
    for name, count in counted.items():
        if count > 1:
            yield f"lower {name} (now {count})"
    if trainer.precision == "32-true":
        yield "set trainer.precision=bf16-mixed"
    if stage in SAMPLED:
        yield f"lower rlvr.group_size (now {config.rlvr.group_size})"
        yield f"lower rlvr.max_completion_tokens (now {config.rlvr.max_completion_tokens})"
    if stage == "distill" and config.distill.method == "on_policy":
        yield f"lower distill.max_completion_tokens (now {config.distill.max_completion_tokens})"
    media = config.data.media
    yield (
        f"or lower data.media.image_max_pixels (now {media.image_max_pixels}) and "
        f"data.media.video_max_frames (now {media.video_max_frames})"
    )


def _peers(words: str, first: str) -> str:
    if "EADDRINUSE" in words or "ddress already in use" in words:
        return (
            f"the port by which the processes of a run meet is taken ({first}), mostly by another "
            "run on this machine: set MASTER_PORT to a free one."
        )
    if SILENT.search(words):
        return (
            f"another process of this run took no part in a sum in time ({first}), but a sum over "
            "all of them needs each: look for one that was stopped (T in `ps -eo pid,stat,args`) "
            "or waits for a disk, end it, and repeat the command, which continues from the last "
            "checkpoint."
        )
    return (
        f"the other processes of this run cannot be reached ({first}), and a sum over all of them "
        "needs each: see what they said, and repeat the command, which continues from the last "
        "checkpoint; srun --kill-on-bad-exit=1 ends all tasks when one fails."
    )


def _of_system(error: OSError, config: Config | None) -> str | None:
    """Explain an error of the operating system by its path and the setting that chose it."""
    what = error.strerror or str(error).strip().split("\n")[0] or type(error).__name__
    number = error.errno
    if number in MANY_FILES:
        return _many_files(what)
    if "temporary directory" in what:
        return (
            f"files that are needed for a moment have no place ({what}), but libraries write some: "
            "set TMPDIR to a directory that can be written."
        )
    if number == errno.ENOMEM:
        return _crowded("this machine's memory", config, said=what)
    if error.filename is None:
        return None if number is None else _without_path(number, what)
    path = Path(str(error.filename))
    place = _place(path, config)
    if number in FULL:
        return (
            f"{path} could not be written ({what}), and nothing is kept in half: free space, or "
            f"choose another place with {place}. {GOES_ON}"
        )
    if number == errno.EROFS:
        return (
            f"{path} could not be written ({what}), but what a run leaves has to stay: make its "
            f"file system writable, or choose another place with {place}. {GOES_ON}"
        )
    if number in LOCKLESS:
        return (
            f"{path} cannot be locked ({what}), but a lock keeps two processes out of one "
            f"directory: choose a file system that has locks with {place}."
        )
    if number in FORBIDDEN:
        told = f"{path} may not be used by this user ({what}): change that, or {place}."
        return told + _of_another(path)
    if number in MISPLACED:
        return (
            f"{path} is a file where a directory should be, or the other way round ({what}): move "
            f"it away, or change {place}."
        )
    if number == errno.ENOENT:
        return f"{path} does not exist ({what}): create it, or correct {place}."
    return f"{path} cannot be used ({what}): mend that, or change {place}. {GOES_ON}"


def _of_another(path: Path) -> str:
    """Say what a group needs to share a directory, where it is another user's."""
    for place in (path, *path.parents):
        with suppress(OSError):
            owner = place.stat().st_uid
            if owner in (0, os.geteuid()):
                return ""
            return (
                f" {place} belongs to user {owner}: a group shares a directory after `chmod g+ws` "
                "on it, if all of them write with `umask 002`."
            )
    return ""


def _many_files(what: str) -> str:
    return (
        f"too many files are open at once ({what}): raise the limit with `ulimit -n 65536`, or set "
        "fewer data.workers."
    )


def _without_path(number: int, what: str) -> str | None:
    """Explain an error of the operating system without a path."""
    if number in FULL:
        return (
            f"a disk is full ({what}): free space where run.root, the caches, TMPDIR and /dev/shm "
            f"are. {GOES_ON}"
        )
    return f"the operating system refuses ({what}): see to that, then repeat the command."


def _place(path: Path, config: Config | None) -> str:
    """Name the setting that a path comes from, by its directory."""
    if config is None:
        return "run.root"
    whole = path.absolute()
    for key in PLACES:
        value: str = attrgetter(key)(config) or ""
        root = Path(config.data.root, value) if key in BESIDE_DATA else Path(value)
        root = root.absolute()
        if value and (whole.is_relative_to(root) or root.is_relative_to(whole)):
            return f"{key} (now {value})"
    return "the setting that names it"
