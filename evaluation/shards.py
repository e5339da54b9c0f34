"""Divide questions among processes that share a cache."""

from collections.abc import Mapping


def shard_of(
    shard: str, environ: Mapping[str, str], setting: str = "probe.shard"
) -> tuple[int, int]:
    """Parse K/N, the shard of this process; `auto` looks for a SLURM array.

    Changes neither run directory nor key: any number of shards fills the same cache.
    """
    if shard != "auto":
        number, count = map(int, shard.split("/"))
        return number, count
    if "SLURM_ARRAY_TASK_COUNT" not in environ:
        return 1, 1
    task, first = int(environ["SLURM_ARRAY_TASK_ID"]), int(environ["SLURM_ARRAY_TASK_MIN"])
    step = int(environ.get("SLURM_ARRAY_TASK_STEP", "1"))
    number, count = (task - first) // step + 1, int(environ["SLURM_ARRAY_TASK_COUNT"])
    if number > count:
        raise ValueError(
            f"the tasks of this SLURM array are not numbered evenly: task {task} would have share "
            f"{number} of {count}. Name the share with {setting}=K/{count} in each task."
        )
    return number, count
