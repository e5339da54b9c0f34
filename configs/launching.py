"""Compare a launcher's numbers of processes with the settings, and refuse contradictions at once.

Otherwise a run would learn from half the prompts, wait for processes that are never started, or
run several times over into one directory.

A batch script of SLURM has the numbers of its job in its environment, whether or not `srun` starts
what it runs. Steps that srun starts have a number (SLURM_STEP_ID), and all but the first process
of one a rank above 0; shells for interactive work are steps named bash or interactive.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from configs.schema import Config

TRAINS = ("sft", "rlvr", "distill", "prealign")

INTERACTIVE = ("bash", "interactive")
"""Names of interactive SLURM jobs, as Lightning knows them."""

MPI = (
    *(("jsrun", "JSM_NAMESPACE_SIZE"), ("mpirun", "OMPI_COMM_WORLD_SIZE")),
    *(("mpiexec", "MV2_COMM_WORLD_SIZE"), ("mpiexec", "PMI_SIZE"), ("flux", "FLUX_JOB_SIZE")),
)
"""Launchers by the variable that counts their processes; within a job of SLURM, srun's win."""

RANKS = (
    *(("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE")),
    *(("GROUP_RANK", "GROUP_WORLD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")),
    *(("PMI_RANK", "PMI_SIZE"), ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE")),
    *(("PMIX_RANK", "PMIX_SIZE"), ("PALS_RANKID", "PALS_SIZE")),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)
"""Numbers of a process, from 0, each with that of those it is one of."""

SHARED_DIR = "EARWITNESS_RUN_DIR"
"""Variable that holds the run directory for the processes that a leader starts."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How a launcher started this process."""

    by: str
    processes: int
    """How many it started, all nodes together."""

    said: str
    """The variable that says so, as it stands."""

    per_node: int | None = None
    nodes: int | None = None
    beside: bool = True
    """It started them all; otherwise it started this one, and has room for the others."""


def launched(environ: Mapping[str, str]) -> Launch | None:
    """Read which launcher started this process; None without one that counts processes."""
    return next(_launches(environ), None)


def _launches(environ: Mapping[str, str]) -> Iterator[Launch]:
    """List the launchers that may have started this process, the innermost first."""
    if "TORCHELASTIC_RUN_ID" in environ and (count := _number(environ, "WORLD_SIZE")):
        yield Launch(
            by="torchrun",
            processes=count,
            said=f"WORLD_SIZE={count}",
            per_node=_number(environ, "LOCAL_WORLD_SIZE"),
            nodes=_number(environ, "GROUP_WORLD_SIZE"),
        )
    if environ.get("SLURM_JOB_NAME") not in INTERACTIVE:
        yield from _slurm(environ)
    for by, name in () if "SLURM_JOB_ID" in environ else MPI:
        if count := _number(environ, name):
            yield Launch(by=by, processes=count, said=f"{name}={count}")
    numbered = not {"RANK", "LOCAL_RANK"}.isdisjoint(environ)
    if numbered and (count := _number(environ, "WORLD_SIZE")):
        yield Launch(by="a launcher", processes=count, said=f"WORLD_SIZE={count}")


def _slurm(environ: Mapping[str, str]) -> Iterator[Launch]:
    counts = {name: _number(environ, f"SLURM_{name}") for name in ("STEP_NUM_TASKS", "NTASKS")}
    name, count = next(((n, c) for n, c in counts.items() if c), ("", None))
    if count is None:
        return
    per_node = _number(environ, "SLURM_NTASKS_PER_NODE")
    nodes = _number(environ, "SLURM_STEP_NUM_NODES") or _number(environ, "SLURM_NNODES")
    yield Launch(
        by="srun" if by_srun(environ) else "SLURM",
        processes=count,
        said=f"SLURM_{name}={count}",
        per_node=None if by_srun(environ) and nodes and per_node != count // nodes else per_node,
        nodes=nodes,
        beside=by_srun(environ),
    )


def by_srun(environ: Mapping[str, str]) -> bool:
    """Whether srun started this process, rather than a batch script or shell of the same job."""
    if environ.get("SLURM_JOB_NAME") in INTERACTIVE:
        return False
    steps = ("SLURM_STEP_ID", "SLURM_STEPID", "SLURM_STEP_NUM_TASKS")
    if any(environ.get(name, "").isdigit() for name in steps):
        return True
    return bool(_number(environ, "SLURM_PROCID"))


def alone_in_job(environ: Mapping[str, str]) -> bool:
    """Whether a batch script or shell of a SLURM job started this process, without srun."""
    inside = "SLURM_JOB_ID" in environ or "SLURM_NTASKS" in environ
    typed = environ.get("SLURM_JOB_NAME") in INTERACTIVE
    scripted = "SLURM_TASK_PID" in environ or "SLURM_PROCID" not in environ
    return inside and not by_srun(environ) and (typed or scripted)


def slurm_job(environ: Mapping[str, str]) -> str | None:
    """Name the SLURM job or array task of this process, the same before and after a requeue.

    SLURM_JOB_ID alone would not do for arrays: the last task has the number of the whole array, and
    SLURM would queue all of its tasks again.
    """
    names = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID")
    array, task, job = (_number(environ, name) for name in names)
    if array is not None and task is not None:
        return f"{array}_{task}"
    return None if job is None else str(job)


def _number(environ: Mapping[str, str], name: str) -> int | None:
    value = environ.get(name, "")
    return int(value) if value.isdigit() else None


def check_launch(config: Config, environ: Mapping[str, str]) -> None:
    """Refuse a launch whose numbers contradict the settings, or each other."""
    if environ.get(SHARED_DIR):
        return
    _check_ranks(environ)
    launch, trainer = launched(environ), config.trainer
    node = _number(environ, "NODE_RANK")
    if node and node >= trainer.num_nodes:
        raise ValueError(
            f"NODE_RANK={node}, but trainer.num_nodes is {trainer.num_nodes}, and nodes count from "
            "0: unset it, or set trainer.num_nodes to how many there are."
        )
    if launch is None:
        return
    if config.stage not in TRAINS:
        return _check_evaluation(config, launch)
    wanted = trainer.devices * trainer.num_nodes
    asked = f"trainer.devices={trainer.devices} times trainer.num_nodes={trainer.num_nodes}"
    if wanted == 1 and launch.beside and launch.processes > 1:
        raise ValueError(
            f"{launch.by} started {launch.processes} processes ({launch.said}), but {asked} is one "
            "process, and each of them would train a run of its own: give trainer.devices="
            f"{launch.per_node or launch.processes} trainer.strategy=ddp, or start one process."
        )
    if wanted > 1 and launch.processes != wanted:
        raise ValueError(
            f"{asked} makes {wanted} processes, but {launch.by} has {launch.processes} "
            f"({launch.said}), and every process of a run must be there: {_more(launch, config)}, "
            "or change the settings to what is there."
        )
    for setting, count, there in (
        ("trainer.devices", trainer.devices, launch.per_node),
        ("trainer.num_nodes", trainer.num_nodes, launch.nodes),
    ):
        if wanted > 1 and there and count != there:
            raise ValueError(
                f"{setting} is {count}, but {launch.by} has {there} for it ({launch.said}), and "
                f"processes are counted per node: set {setting}={there}, or start others."
            )
    if wanted > 1 and alone_in_job(environ) and trainer.num_nodes > 1:
        raise ValueError(
            f"{asked} makes {wanted} processes, but this one was started alone, without srun, "
            "which starts those of other nodes: put srun in front of the command."
        )
    if wanted > 1 and launch.by == "mpirun" and find_spec("mpi4py") is None:
        raise ValueError(
            f"mpirun started {launch.processes} processes ({launch.said}), which find each other "
            "by the package mpi4py, but it is not installed: start them with torchrun or srun."
        )


def _check_ranks(environ: Mapping[str, str]) -> None:
    """Refuse numbers of this process that cannot be: it would wait for others, or save nothing."""
    for name in (*dict(RANKS), "NODE_RANK"):
        if environ.get(name) and _number(environ, name) is None:
            raise ValueError(
                f"{name} is {environ[name]!r}, but it numbers processes from 0: unset it, or start "
                "them with torchrun or srun, which set it."
            )
    for name, of in RANKS:
        rank, size = _number(environ, name), _number(environ, of)
        if of in environ and not size:
            raise ValueError(
                f"{of} is {environ[of]!r}, but it counts processes: unset it, or start them with "
                "torchrun or srun, which set it."
            )
        if size is None and name.startswith("SLURM_"):
            continue  # as in a batch script
        most = size or _number(environ, "WORLD_SIZE") or 1
        if rank and rank >= most:
            asked = f"{of}={size}" if size else f"{most} in all"
            raise ValueError(
                f"{name}={rank} with {asked}, but processes count from 0 and below how many there "
                "are: unset it, or start them with torchrun or srun, which set both."
            )
    tasks, nodes = _number(environ, "SLURM_STEP_NUM_TASKS"), _number(environ, "GROUP_WORLD_SIZE")
    if "TORCHELASTIC_RUN_ID" in environ and by_srun(environ) and tasks and nodes and tasks != nodes:
        raise ValueError(
            f"srun starts torchrun {tasks} times (SLURM_STEP_NUM_TASKS={tasks}), but each is told "
            f"of {nodes} (GROUP_WORLD_SIZE={nodes}), and would train a run of its own: give "
            f"torchrun --nnodes={tasks}, or start it once."
        )


def _more(launch: Launch, config: Config) -> str:
    """Say how to start as many processes as the settings ask for."""
    devices, nodes = config.trainer.devices, config.trainer.num_nodes
    if launch.by == "torchrun":
        return f"torchrun --nnodes={nodes} --nproc-per-node={devices}"
    if launch.by in ("srun", "SLURM"):
        return f"ask for --nodes={nodes} --ntasks-per-node={devices} and start with srun"
    return f"start {devices * nodes}"


def _check_evaluation(config: Config, launch: Launch) -> None:
    """Refuse several processes of a stage that runs in one."""
    if launch.beside and launch.processes > 1:
        raise ValueError(
            f"{launch.by} started {launch.processes} processes ({launch.said}), but "
            f"stage={config.stage} is one process, and each would ask everything: start one, or "
            "an array of jobs, whose tasks share the questions of probes and benchmarks."
        )


def check_recipe_launch(environ: Mapping[str, str]) -> None:
    """Refuse several processes of a recipe, which starts its steps by itself."""
    _check_ranks(environ)
    launch = launched(environ)
    if launch is not None and launch.beside and launch.processes > 1:
        raise ValueError(
            f"{launch.by} started {launch.processes} processes ({launch.said}), but a recipe is "
            "one process that starts its steps: start it once, and give steps their devices with "
            "STEP:trainer.devices=N."
        )
