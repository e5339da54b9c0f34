"""Build a training stage: its module and its data."""

from dataclasses import replace
from pathlib import Path

from configs.distill import ViewConfig
from configs.schema import SAMPLED, Config, RlvrConfig, SftConfig
from datamodules.batch import View
from datamodules.digits.build import ensure
from datamodules.loading.too_long import LengthLimit
from datamodules.loading.views import ViewSettings
from datamodules.media.ablation import MediaAblation
from datamodules.prompts.encoder import PromptEncoder
from datamodules.questions import QuestionData
from datamodules.truth import known_fields
from inference.generate import load_frozen, load_judge, load_reader, with_weights
from inference.loading import build_gold_check
from modules.base import PostTrainingModule
from modules.distill import DistillModule
from modules.policy.omni import OmniModel
from modules.policy.reference import Reference
from modules.rewards.evidence_reward import EvidenceReward
from modules.rewards.verifier_reward import RewardFunction, VerifierReward
from modules.rlvr import RlvrModule
from modules.sft import SftModule
from modules.step.policy_module import FitSettings
from runtime.runs import Run


def build_module(config: Config, policy: OmniModel, data: QuestionData) -> PostTrainingModule:
    """Build the module of a stage: the only switch on `stage`."""
    settings = FitSettings(
        optim=config.optim,
        max_steps=config.trainer.max_steps,
        max_tokens=config.trainer.max_tokens,
        seed=config.seed,
        evidence=known_evidence(config),
    )
    match config.stage:
        case "distill" if config.distill.method == "on_policy":
            teacher = build_teacher(config, policy)
            return DistillModule(policy, settings, config.distill, teacher=teacher)
        case "sft" | "distill":
            return SftModule(policy, settings, imitation(config))
        case "rlvr" | "prealign":
            return RlvrModule(
                policy,
                settings,
                config.rlvr,
                reward_function=build_reward_function(config),
                accumulate=config.trainer.accumulate_grad_batches,
                fresh_prompts=lambda number, attempt: data.prompt_resampler().batch(
                    number, attempt
                ),
            )
        case _:
            raise AssertionError(f"train.py admits no stage={config.stage}")


def imitation(config: Config) -> SftConfig:
    """Return the settings of imitation: those of `sft`, but with room for sampled traces."""
    if config.stage == "sft":
        return config.sft
    # Twice the tokens: text that was sampled may be more of them once it is tokenized anew.
    return replace(
        config.sft,
        max_completion_tokens=2 * config.distill.rejection_sampling.max_completion_tokens,
    )


def build_reward_function(config: Config) -> RewardFunction:
    """Choose the reward: a verifier of answers, or a reader of descriptions."""
    if config.stage == "rlvr":
        return VerifierReward(config.rlvr)
    reader, judge = load_reader(config), config.prealign.judge
    return EvidenceReward(
        config.prealign,
        reader.answers,
        prior=reader.prior,
        judge=load_judge(config, judge).no_leak if judge else None,
    )


def build_teacher(config: Config, policy: OmniModel) -> Reference:
    """Load the teacher: the policy as it starts, or other weights."""
    if config.distill.teacher == "reference":
        return policy.reference()
    return load_frozen(with_weights(config, config.distill.teacher))


def build_data(
    config: Config, encoder: PromptEncoder, run: Run, *, traces: Path | None
) -> QuestionData:
    """Build the questions of the run.

    Args:
        traces: file of completions to imitate instead of the manifest's.
    """
    trainer, rounds = config.trainer, config.stage in SAMPLED
    on_policy = config.stage == "distill" and config.distill.method == "on_policy"
    return QuestionData(
        config.data,
        encoder,
        seed=config.seed,
        batch_size=trainer.batch_size,
        micro_batches=trainer.accumulate_grad_batches * (config.rlvr.minibatches if rounds else 1),
        accumulate=trainer.accumulate_grad_batches,
        updates=config.updates,
        pack_tokens=0 if rounds or on_policy else config.sft.pack_tokens,
        views=wanted_views(config),
        traces=traces,
        val_samples=trainer.val_limit if trainer.val_check_interval else 0,
        with_targets=imitates(config),
        golds=build_gold_check(config),
        longest=longest_given(config) if imitates(config) else None,
        run_dir=run.dir,
    )


def imitates(config: Config) -> bool:
    """Tell whether some completions are given: of the data, or traces."""
    if config.stage == "distill" and config.distill.method == "on_policy":
        return config.distill.on_policy_share < 1
    return config.stage in ("sft", "distill")


def longest_given(config: Config) -> LengthLimit:
    """Return the longest completion of the data that is allowed, and the setting that says so."""
    tokens, setting = imitation(config).max_completion_tokens, "sft.max_completion_tokens"
    if config.stage == "distill" and config.distill.method == "on_policy":
        tokens, setting = config.distill.max_completion_tokens, "distill.max_completion_tokens"
    elif config.stage == "distill":
        setting = "distill.rejection_sampling.max_completion_tokens"
    return LengthLimit(tokens=tokens, setting=setting, beyond=config.sft.too_long)


def wanted_views(config: Config) -> dict[View, ViewSettings]:
    """List the other views of prompts that rewards and losses need."""
    if config.stage in SAMPLED:
        return _compared(config.rlvr)
    if config.stage == "distill" and config.distill.method == "on_policy":
        sides: dict[View, ViewConfig] = {
            "student": config.distill.student_view,
            "teacher": config.distill.teacher_view,
        }
        return {view: _showing(side) for view, side in sides.items() if not side.plain}
    return {}


def _compared(rlvr: RlvrConfig) -> dict[View, ViewSettings]:
    """List the views for rewards and losses that compare the policy with itself."""
    views: dict[View, ViewSettings] = {}
    perception = rlvr.perception
    if rlvr.reward.blind or perception.asked:
        withheld = MediaAblation(condition=perception.condition, how=perception.replacement)
        views["blind"] = ViewSettings(ablation=withheld)
    if rlvr.reward.temporal:
        shuffled = MediaAblation(condition="no_visual", how="shuffled")
        views["shuffled"] = ViewSettings(ablation=shuffled)
    return views


def _showing(side: ViewConfig) -> ViewSettings:
    """Return the view of one side of a distillation."""
    withheld = MediaAblation(condition=side.condition, how=side.replacement)
    return ViewSettings(ablation=withheld, video_max_frames=side.video_max_frames)


def known_evidence(config: Config) -> dict[str, str]:
    """Read which evidence questions need, by id, where the manifest says it; metrics use it."""
    root, splits = Path(config.data.root), f"{config.data.train}+{config.data.val}"
    if config.data.embedded:
        ensure(root)
    known = known_fields(root, splits, ["evidence"])
    return {id_: fields["evidence"] for id_, fields in known.items()}
