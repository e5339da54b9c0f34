"""Divide questions among processes that share a cache."""

from collections.abc import Mapping

NUMBERS = ("TASK_ID", "TASK_MIN", "TASK_STEP", "TASK_COUNT")
"""Variables of a task of a SLURM array, behind SLURM_ARRAY_."""


def shard_of(
    shard: str, environ: Mapping[str, str], setting: str = "probe.shard"
) -> tuple[int, int]:
    """Parse K/N, the shard of this process; `auto` looks for a SLURM array.

    Changes neither run directory nor key: any number of shards fills the same cache.
    """
    if shard != "auto":
        number, count = map(int, shard.split("/"))
        return number, count
    given = {f"SLURM_ARRAY_{name}": environ.get(f"SLURM_ARRAY_{name}", "") for name in NUMBERS}
    if not given["SLURM_ARRAY_TASK_COUNT"]:
        return 1, 1
    given["SLURM_ARRAY_TASK_STEP"] = given["SLURM_ARRAY_TASK_STEP"] or "1"
    said = ", ".join(f"{name}={value}" for name, value in given.items())
    if not all(value.isdecimal() for value in given.values()):
        raise ValueError(
            f"the variables of a SLURM array are {said}, but each is a whole number: unset them "
            f"where no array is meant, or name the share with {setting}=1/8."
        )
    task, first, step, count = map(int, given.values())
    place, over = divmod(task - first, max(step, 1))
    if over or not 0 <= place < count:
        raise ValueError(
            f"the tasks of this SLURM array are not numbered evenly ({said}), but shares are "
            f"counted from its first task: submit an even one, such as --array=0-{count - 1}, or "
            f"name the share of each task with {setting}=K/{count}."
        )
    return place + 1, count
