"""Build and fit one training stage; imported after the configuration has been checked."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lightning as L

from configs.schema import Config
from datamodules.contribution.probe_matching import probe_commands, required_rules
from datamodules.prompts.encoder import PromptEncoder
from datamodules.questions import QuestionData
from datamodules.sources.index.table import fields_of
from evaluation.probing.stage import run_probes
from inference.loading import build_encoder, build_policy, name_of_weights, weights_of
from modules.base import PostTrainingModule
from modules.policy.omni import OmniModel
from modules.step.nonfinite import NonFiniteError
from publishing.card import make_card
from publishing.hub import check_account, upload
from publishing.origin import origin_of
from publishing.record import Record, installed_versions, trained_on, write_record
from publishing.settings import portable
from publishing.stage import push_of
from runtime.preemption import on_warning
from runtime.runs import Run, open_run
from runtime.writing import whole_directory, write_text
from training.callbacks.checkpoints import newest_valid
from training.followers import followed
from training.rejection_sampling import traces_of
from training.stages import build_data, build_module
from training.trainer import build_trainer

log = logging.getLogger(__name__)

MANY = 1 << 30
"""Answers in one round: all that are missing."""


def train(config: Config) -> Path:
    """Run one training stage to its end, resuming a killed run; return its export."""
    with open_run(config) as run:
        trainer = build_trainer(config, run)
        if config.push.to is not None and trainer.is_global_zero:
            check_account(push_of(config, run.dir))
        encoder = build_encoder(config)
        asked = ask_missing(config, run)
        data = build_data(asked, encoder, run, traces=traces_for(asked, run))
        module = build_module(config, build_policy(config, encoder), data)
        try:
            fit(trainer, module, data, run)
        except NonFiniteError as error:
            raise stopped(error, trainer, module.policy, encoder, run) from error
        export = run.dir / "export"
        if trainer.is_global_zero:
            leave(config, run, module.policy, encoder, record_of(config, data, trainer))
        run.finish()
    log.info("weights: %s", export)
    return export


def leave(
    config: Config, run: Run, policy: OmniModel, encoder: PromptEncoder, record: Record
) -> None:
    """Export weights, and adapters where they were trained, with their cards; push one of the two
    if that is asked for."""
    write_record(run.dir, record)
    name, export = config.push.to or run.dir.name, run.dir / "export"
    save(policy, encoder, export, card=lambda made: make_card(made, config, record, name=name))
    if policy.adapted:
        with whole_directory(run.dir / "adapter") as made:
            policy.save_adapter(made, base=portable(weights_of(config)))
            card = make_card(export, config, record, name=name, adapter=True)
            write_text(made / "README.md", card)
    if config.push.to is not None:
        log.info("pushed: %s", upload(push_of(config, run.dir)))


def record_of(config: Config, data: QuestionData, trainer: L.Trainer) -> Record:
    """Collect what the cards say beside the settings."""
    start, questions = weights_of(config), data.train_questions.samples
    return Record(
        trained_on=trained_on(
            [str(row["source"]) for row in fields_of(questions, ("source",))],
            len(data.selected.kept),
        ),
        origin=origin_of(start, name_of_weights(start)),
        steps=trainer.global_step,
        versions=installed_versions(),
    )


def traces_for(config: Config, run: Run) -> Path | None:
    """Return the file of traces to imitate instead of the manifest's completions, if any."""
    if config.stage == "distill" and config.distill.method == "self":
        return traces_of(config, run)
    return Path(config.sft.traces) if config.stage == "sft" and config.sft.traces else None


def stopped(
    error: NonFiniteError, trainer: L.Trainer, policy: OmniModel, encoder: PromptEncoder, run: Run
) -> ValueError:
    """Return the error for a run that met NaN, with the last good checkpoint; save good weights."""
    step, checkpoints = trainer.global_step, run.dir / "checkpoints"
    if not error.weights_good:  # the last update may have spoiled them
        older = newest_valid(checkpoints, before=step) or "none, but the weights it started from"
        return ValueError(
            f"stopped after step {step}: {error} The newest checkpoint from before that step: "
            f"{older}."
        )
    if trainer.is_global_zero:
        save(policy, encoder, run.dir / "stopped")
    return ValueError(
        f"stopped after step {step}: {error} The last good checkpoint: "
        f"{newest_valid(checkpoints) or 'none yet'}. The weights before that are in "
        f"{run.dir / 'stopped'}: another run can start from them with init_from."
    )


def save(
    policy: OmniModel,
    encoder: PromptEncoder,
    path: Path,
    *,
    card: Callable[[Path], str] | None = None,
) -> None:
    """Export weights and processor, as a directory that any run can start from.

    Args:
        card: writes the card of the weights in a directory.
    """
    needed = sum(value.nbytes for value in policy.thinker.state_dict().values())
    with whole_directory(path, needed=needed) as made:
        policy.save(made)
        encoder.processor.save_pretrained(made)
        if card is not None:
            write_text(made / "README.md", card(made))


def fit(trainer: L.Trainer, module: PostTrainingModule, data: QuestionData, run: Run) -> None:
    """Fit, from the newest whole checkpoint if there is one."""
    with warnings.catch_warnings():
        # Lightning advises more loader workers, and warns of its own use of torch.
        warnings.filterwarnings("ignore", module=r"lightning\.pytorch")
        newest = newest_valid(run.dir / "checkpoints")
        # A warning is heeded at the end of the step, by `StepCheckpoint`.
        with followed(trainer), on_warning(lambda: None):
            trainer.fit(module, datamodule=data, ckpt_path=newest, weights_only=True)


def ask_missing(config: Config, run: Run) -> Config:
    """Probe the model of the run where the cache lacks answers and data.contribution says so.

    The returned configuration names the probes that were run as the ones that vote, whatever others
    the cache holds.
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
            f"first with {probe_commands(required_rules(wanted))}, and leave on_missing out."
        )
    asking = replace(
        config,
        probe=replace(
            config.probe,
            method="generate",
            backend="local",
            checkpoints=[],
            answer_kind="all",
            limit=0,
            shard="1/1",
            # A share of right answers tells little where a right one ended the asking.
            samples_per_round=MANY if wanted.weighted else config.probe.samples_per_round,
        ),
    )
    runners = [
        run_probes(asking, config.data.train, rule, run_dir=run.dir)[0]
        for rule in required_rules(wanted)
    ]
    voters = runners[0].voters()
    if not all(voters):
        return config  # nothing could be asked
    return replace(config, data=replace(config.data, contribution=replace(wanted, probes=voters)))
