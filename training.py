"""Build and fit one training stage; imported after the configuration has been checked."""

import logging
import secrets
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import lightning as L
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.plugins import Precision
from lightning.pytorch.plugins.io import CheckpointIO
from lightning.pytorch.plugins.layer_sync import LayerSync

from auditing.truth import read_fields
from building import build_encoder, build_policy
from checkpoints import AtomicCheckpointIO, StepCheckpoint, newest_valid
from configs.schema import Config, RlvrConfig
from datamodules.ablation import Withholding
from datamodules.batch import View
from datamodules.prompts import PromptEncoder
from datamodules.questions import QuestionData
from datamodules.voters import commands, rules_asked
from modules.base import NonFinite, PostTrainingModule
from modules.omni import OmniModel
from modules.rlvr import RlvrModule
from modules.sft import SftModule
from probing.stage import fill
from progress import MetricsWriter, StepProgress
from reaudit import Reaudit
from runs import Run, open_run, write_atomically
from watching import RolloutTable, Timings

log = logging.getLogger(__name__)

MANY = 1 << 30
"""Answers in one round: all that are lacking."""

Plugin = Precision | ClusterEnvironment | CheckpointIO | LayerSync
"""What a Lightning trainer takes."""


def train(config: Config) -> Path:
    """Run one training stage to its end, from where a killed run left it; return its export."""
    with open_run(config) as run:
        log.info("run directory: %s%s", run.dir, " (resumed)" if run.resumed else "")
        trainer = build_trainer(config, run)
        encoder = build_encoder(config)
        data = build_data(ask_missing(config, run), encoder, run)
        module = build_module(config, build_policy(config, encoder), data)
        fit(trainer, module, data, run)
        export = run.dir / "export"
        if trainer.is_global_zero:
            module.policy.save(export)
            encoder.processor.save_pretrained(export)
            if module.policy.adapted:
                module.policy.save_adapter(run.dir / "adapter")
        run.finish()
    log.info("weights: %s", export)
    return export


def fit(trainer: L.Trainer, module: PostTrainingModule, data: QuestionData, run: Run) -> None:
    """Train from the newest whole checkpoint; where a number went wrong, say which is good."""
    checkpoints = run.dir / "checkpoints"
    with warnings.catch_warnings():
        # Lightning advises more loader workers, and warns of its own use of torch.
        warnings.filterwarnings("ignore", module=r"lightning\.pytorch")
        try:
            trainer.fit(
                module, datamodule=data, ckpt_path=newest_valid(checkpoints), weights_only=True
            )
        except NonFinite as error:
            last = newest_valid(checkpoints) or "the weights that the run started from"
            raise ValueError(f"{error} The last good checkpoint: {last}.") from error


def ask_missing(config: Config, run: Run) -> Config:
    """Let the model of the run answer what the cache lacks, where data.contribution says so.

    Unless probes are named, those that were asked are the ones that vote, whatever others the cache
    holds: the configuration returned names them.
    """
    wanted = config.data.contribution
    if wanted.rule == "none" or wanted.on_missing != "probe":
        return config
    if wanted.probes:
        raise ValueError(
            "data.contribution.on_missing=probe asks the model of the run, but "
            f"probes={wanted.probes} names whose answers count: leave one of the two out."
        )
    if config.trainer.devices * config.trainer.num_nodes > 1:
        raise ValueError(
            f"data.contribution.on_missing=probe asks in one process, but this run has "
            f"{config.trainer.devices} devices on {config.trainer.num_nodes} nodes: fill the cache "
            f"first with {commands(rules_asked(wanted))}, and leave on_missing out."
        )
    asking = replace(
        config,
        probe=replace(
            config.probe,
            method="generate",
            backend="local",
            checkpoints=[],
            only="all",
            limit=0,
            shard="1/1",
            # A share of right answers tells little where a right one ended the asking.
            round=MANY if wanted.weighted else config.probe.round,
        ),
    )
    panels = [
        fill(asking, config.data.train, rule, run_dir=run.dir)[0] for rule in rules_asked(wanted)
    ]
    voters = panels[0].voters()
    if not all(voters):
        return config  # nothing could be asked
    return replace(config, data=replace(config.data, contribution=replace(wanted, probes=voters)))


def build_module(config: Config, policy: OmniModel, data: QuestionData) -> PostTrainingModule:
    """Choose the algorithm: the only switch on `stage`."""
    steps, needs = config.trainer.max_steps, known_needs(config)
    match config.stage:
        case "sft":
            return SftModule(
                policy,
                config.optim,
                config.sft,
                max_steps=steps,
                batch_size=config.trainer.batch_size,
                needs=needs,
            )
        case "rlvr":
            return RlvrModule(
                policy,
                config.optim,
                config.rlvr,
                max_steps=steps,
                accumulate=config.trainer.accumulate,
                seed=config.seed,
                refill=lambda number, attempt: data.refills().batch(number, attempt),
                needs=needs,
            )
        case _:
            raise AssertionError(f"train.py admits no stage={config.stage}")


def known_needs(config: Config) -> dict[str, str]:
    """Read which evidence questions need, where somebody wrote it down: a label for metrics."""
    root = Path(config.data.root) / "truth"
    splits = (config.data.train, config.data.val)
    return {
        id_: fields["evidence"]
        for split in splits
        for id_, fields in read_fields(root / f"{split}.jsonl", ["evidence"]).items()
    }


def build_data(config: Config, encoder: PromptEncoder, run: Run) -> QuestionData:
    """Read the questions of the run."""
    rlvr, rounds = config.rlvr, config.stage == "rlvr"
    return QuestionData(
        config.data,
        encoder,
        seed=config.seed,
        batch_size=config.trainer.batch_size,
        accumulate=config.trainer.accumulate,
        updates=rlvr.updates if rounds else 1,
        round_batches=config.trainer.accumulate * rlvr.minibatches if rounds else 0,
        views=wanted_views(rlvr) if rounds else {},
        val_samples=config.trainer.val_samples,
        with_targets=config.stage == "sft",
        run_dir=run.dir,
    )


def wanted_views(rlvr: RlvrConfig) -> dict[View, Withholding]:
    """List the ways in which prompts are shown besides their own, as rewards and losses need."""
    views: dict[View, Withholding] = {}
    if rlvr.reward.blind or rlvr.perception.asked:
        views["blind"] = Withholding(condition=rlvr.perception.condition, how=rlvr.perception.how)
    if rlvr.reward.temporal:
        views["shuffled"] = Withholding(condition="no_visual", how="shuffled")
    return views


def build_trainer(config: Config, run: Run) -> L.Trainer:
    """Set up Lightning for steps instead of epochs, with this project's own checkpoints."""
    settings = config.trainer
    rounds = config.stage == "rlvr"  # which accumulates and clips by itself
    if rounds and settings.strategy not in ("auto", "ddp", "ddp_spawn", "ddp_fork"):
        raise ValueError(
            f"trainer.strategy is {settings.strategy}, but stage=rlvr sums the gradients of its "
            "processes itself, over whole copies of the model: use ddp, with model.lora.rank or "
            "model.freeze_towers where memory is short."
        )
    return L.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=settings.strategy,
        precision=settings.precision,
        max_steps=settings.max_steps,
        accumulate_grad_batches=1 if rounds else settings.accumulate,
        gradient_clip_val=None if rounds else config.optim.max_grad_norm,
        val_check_interval=_batches(config, settings.val_every) or None,
        check_val_every_n_epoch=None,
        limit_val_batches=1.0 if settings.val_every else 0,
        num_sanity_val_steps=0,
        log_every_n_steps=settings.log_every,
        callbacks=build_callbacks(config, run),
        plugins=_plugins(),
        logger=_logger(config, run),
        use_distributed_sampler=False,
        enable_model_summary=False,
        default_root_dir=run.dir,
    )


def _plugins() -> list[Plugin]:
    """Save whole checkpoints or none; keep Lightning from saving and resuming its own on SLURM.

    Its requeue writes from inside the signal handler, and any task that shares the directory would
    resume from what it wrote.
    """
    plugins: list[Plugin] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins


def _batches(config: Config, steps: int) -> int:
    """Count what the loader yields in some optimizer steps: rounds, or micro-batches."""
    if config.stage == "rlvr":
        return steps // config.rlvr.updates
    return steps * config.trainer.accumulate


def build_callbacks(config: Config, run: Run) -> list[Callback]:
    """Watch and save; none of them has an effect on what is learned."""
    settings, wanted = config.trainer, config.data.contribution
    if wanted.refresh_every and wanted.rule == "none":
        raise ValueError(
            f"data.contribution.refresh_every is {wanted.refresh_every}, but rule=none judges no "
            "question: choose a rule, such as data.contribution.rule=calibrated, or leave "
            "refresh_every out."
        )
    callbacks: list[Callback] = [
        StepProgress(),
        MetricsWriter(run.dir / "metrics.jsonl", every=settings.log_every),
        StepCheckpoint(
            run.dir / "checkpoints",
            every=settings.checkpoint_every,
            val_every=settings.val_every,
        ),
    ]
    if config.stage == "rlvr":
        callbacks.append(Timings(run.dir / "timings.jsonl", every=settings.log_every))
    if config.stage == "rlvr" and config.rlvr.table_every:
        callbacks.append(
            RolloutTable(
                run.dir / "rollouts.jsonl",
                every=config.rlvr.table_every,
                prompts=config.rlvr.table_prompts,
            )
        )
    if wanted.refresh_every:
        callbacks.append(Reaudit(wanted, config.probe, seed=config.seed, run_dir=run.dir))
    return callbacks


def _wandb_id(run: Run) -> str:
    """Keep one identity per run directory: a resumed run continues its own curves, no other's."""
    file = run.dir / "wandb.id"
    if not file.exists():
        write_atomically(file, f"{run.dir.name}-{secrets.token_hex(4)}")
    return file.read_text()


def _logger(config: Config, run: Run) -> Logger | bool:
    """Show the metrics in Weights & Biases where that is asked for."""
    if config.logger != "wandb":
        return False
    return WandbLogger(
        project="earwitness",
        name=run.dir.name,
        id=_wandb_id(run),
        resume="allow",
        save_dir=run.dir,
        config=asdict(config),
    )
