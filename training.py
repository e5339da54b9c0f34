"""Build and fit one training stage; imported after the configuration has been checked."""

import logging
import warnings
from dataclasses import replace
from pathlib import Path

import lightning as L

from auditing.truth import read_fields
from building import build_encoder, build_policy
from checkpoints import newest_valid
from configs.schema import Config, RlvrConfig
from datamodules.ablation import Withholding
from datamodules.batch import View
from datamodules.prompts import PromptEncoder
from datamodules.questions import QuestionData
from datamodules.voters import commands, rules_asked
from modules.base import PostTrainingModule
from modules.finite import NonFinite
from modules.omni import OmniModel
from modules.rlvr import RlvrModule
from modules.sft import SftModule
from probing.stage import fill
from runs import Run, open_run
from trainer import build_trainer

log = logging.getLogger(__name__)

MANY = 1 << 30
"""Answers in one round: all that are lacking."""


def train(config: Config) -> Path:
    """Run one training stage to its end, from where a killed run left it; return its export."""
    with open_run(config) as run:
        log.info("run directory: %s%s", run.dir, " (resumed)" if run.resumed else "")
        trainer = build_trainer(config, run)
        encoder = build_encoder(config)
        data = build_data(ask_missing(config, run), encoder, run)
        module = build_module(config, build_policy(config, encoder), data)
        try:
            fit(trainer, module, data, run)
        except NonFinite as error:
            raise stopped(error, trainer, module.policy, encoder, run) from error
        export = run.dir / "export"
        if trainer.is_global_zero:
            save(module.policy, encoder, export)
            if module.policy.adapted:
                module.policy.save_adapter(run.dir / "adapter")
        run.finish()
    log.info("weights: %s", export)
    return export


def stopped(
    error: NonFinite, trainer: L.Trainer, policy: OmniModel, encoder: PromptEncoder, run: Run
) -> ValueError:
    """Say where to go on from after a number went wrong, and keep the weights if they are sound."""
    step, checkpoints = trainer.global_step, run.dir / "checkpoints"
    if not error.sound:  # the last update may have spoiled them
        older = newest_valid(checkpoints, before=step) or "none, but the weights it started from"
        return ValueError(
            f"stopped after step {step}: {error} The newest checkpoint from before that step: "
            f"{older}."
        )
    if trainer.is_global_zero:
        save(policy, encoder, run.dir / "stopped")
    return ValueError(
        f"stopped after step {step}: {error} The last good checkpoint: "
        f"{newest_valid(checkpoints) or 'none yet'}. The weights before that number are in "
        f"{run.dir / 'stopped'}: another run can start from them with init_from."
    )


def save(policy: OmniModel, encoder: PromptEncoder, path: Path) -> None:
    """Write a directory that any run can start from: weights and processor."""
    policy.save(path)
    encoder.processor.save_pretrained(path)


def fit(trainer: L.Trainer, module: PostTrainingModule, data: QuestionData, run: Run) -> None:
    """Train from the newest whole checkpoint."""
    with warnings.catch_warnings():
        # Lightning advises more loader workers, and warns of its own use of torch.
        warnings.filterwarnings("ignore", module=r"lightning\.pytorch")
        newest = newest_valid(run.dir / "checkpoints")
        trainer.fit(module, datamodule=data, ckpt_path=newest, weights_only=True)


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
