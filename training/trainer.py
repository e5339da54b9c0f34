"""Build the Lightning trainer: optimizer steps instead of epochs, our checkpoints and callbacks."""

import os
import warnings

import lightning as L
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import Precision
from lightning.pytorch.plugins.io import CheckpointIO
from lightning.pytorch.plugins.layer_sync import LayerSync

from configs.launching import alone_in_job
from configs.schema import SAMPLED, Config, TrainerConfig
from inference.loading import count_gpus
from runtime.devices import too_few
from runtime.loggers import sends_to_wandb
from runtime.runs import Run
from training.callbacks.checkpoints import AtomicCheckpointIO, StepCheckpoint
from training.callbacks.metrics import MetricsWriter, RowsOfResumedRun, StepProgress
from training.callbacks.reaudit import Reaudit
from training.callbacks.rollouts import RolloutTable, Timings
from training.callbacks.signs import SignWatch
from training.followers import OwnSignals

Plugin = Precision | ClusterEnvironment | CheckpointIO | LayerSync
"""Plugins of a Lightning trainer."""


def build_trainer(config: Config, run: Run) -> L.Trainer:
    """Build a trainer for optimizer steps instead of epochs, with our own checkpoints."""
    settings = config.trainer
    _check_devices(settings)
    # It advises srun, also where one process is what the settings say; `check_launch` compares.
    warnings.filterwarnings("ignore", message=r"The `srun` command is available")
    return L.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=settings.strategy,
        precision=settings.precision,
        max_steps=settings.max_steps,
        # Stages accumulate and clip by themselves: what the loader yields is a list of batches.
        val_check_interval=settings.val_check_interval // config.updates or None,
        check_val_every_n_epoch=None,
        limit_val_batches=1.0 if settings.val_check_interval else 0,
        num_sanity_val_steps=0,
        log_every_n_steps=settings.log_every_n_steps,
        callbacks=build_callbacks(config, run),
        plugins=_plugins(settings),
        logger=_curves(config, run),
        use_distributed_sampler=False,
        enable_model_summary=False,
        default_root_dir=run.dir,
    )


def _check_devices(settings: TrainerConfig) -> None:
    """Raise where GPUs are configured that this process does not see."""
    found = count_gpus(settings.accelerator)
    if 0 < found < settings.devices:
        raise too_few(settings.devices, found)


def _plugins(settings: TrainerConfig) -> list[Plugin]:
    """Choose atomic checkpoints, and the environment that starts the processes of the run.

    Lightning assumes that srun started every process within a SLURM job, and would wait for others.
    Its requeue is off: it writes from inside the signal handler, and any task that shares the
    directory would resume from what it wrote.
    """
    plugins: list[Plugin] = [AtomicCheckpointIO()]
    processes = settings.devices * settings.num_nodes
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return plugins  # torchrun, also within SLURM
    if processes == 1 or alone_in_job(os.environ):
        plugins.append(LightningEnvironment())
    elif SLURMEnvironment.detect():
        # It refuses tasks that are not counted per node; these numbers have been checked.
        os.environ["SLURM_NTASKS_PER_NODE"] = str(settings.devices)
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins


def build_callbacks(config: Config, run: Run) -> list[Callback]:
    """Build callbacks that log and save; none of them affects training."""
    settings, wanted = config.trainer, config.data.contribution
    callbacks: list[Callback] = [
        OwnSignals(),
        StepProgress(),
        RowsOfResumedRun(run.dir),
        SignWatch(run.dir / "metrics.jsonl", every=settings.log_every_n_steps),
        MetricsWriter(run.dir / "metrics.jsonl", every=settings.log_every_n_steps),
        StepCheckpoint(
            run.dir / "checkpoints",
            every=settings.checkpoint_every,
            val_every=settings.val_check_interval,
        ),
    ]
    if config.stage in SAMPLED:
        callbacks.append(Timings(run.dir / "timings.jsonl", every=settings.log_every_n_steps))
    if config.stage in SAMPLED and config.rlvr.log_rollouts_every:
        callbacks.append(
            RolloutTable(
                run.dir / "rollouts.jsonl",
                every=config.rlvr.log_rollouts_every,
                prompts=config.rlvr.log_rollouts_prompts,
            )
        )
    if wanted.refresh_every:
        callbacks.append(Reaudit(wanted, config.probe, seed=config.seed, run_dir=run.dir))
    return callbacks


def _curves(config: Config, run: Run) -> Logger | bool:
    """Return the logger of Weights & Biases if it is configured."""
    if not sends_to_wandb(config):
        return False
    from training.wandb_curves import curves_of  # noqa: PLC0415 - seconds that runs without it need not wait

    return curves_of(config, run)
