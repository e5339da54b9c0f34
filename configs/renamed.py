"""Settings and values that were renamed: an old name is refused with the new one."""

from collections.abc import Mapping

from configs.checks import countable

RENAMED: Mapping[str, str] = {
    "trainer.accumulate": "trainer.accumulate_grad_batches",
    "trainer.val_every": "trainer.val_check_interval",
    "trainer.val_samples": "trainer.val_limit",
    "trainer.log_every": "trainer.log_every_n_steps",
    "data.ask": "data.task",
    "data.contribution.how": "data.contribution.replacement",
    "data.contribution.answers": "data.contribution.samples",
    "data.contribution.needed": "data.contribution.min_correct",
    "data.contribution.votes_needed": "data.contribution.min_votes",
    "sft.average": "sft.loss_aggregation",
    "rlvr.epochs": "rlvr.num_iterations",
    "rlvr.mask_truncated": "rlvr.mask_truncated_completions",
    "rlvr.table_every": "rlvr.log_rollouts_every",
    "rlvr.table_prompts": "rlvr.log_rollouts_prompts",
    "rlvr.objective.scale": "rlvr.objective.scale_rewards",
    "rlvr.objective.ratio": "rlvr.objective.importance_sampling_level",
    "rlvr.objective.ratio_max": "rlvr.objective.clip_ratio_c",
    "rlvr.objective.average": "rlvr.objective.loss_aggregation",
    "rlvr.correction": "rlvr.rollout_correction",
    "rlvr.refill": "rlvr.dynamic_sampling",
    "rlvr.refill.tries": "rlvr.dynamic_sampling.max_batches",
    "rlvr.perception.how": "rlvr.perception.replacement",
    "distill.traces": "distill.rejection_sampling",
    "distill.traces.only_right": "distill.rejection_sampling.only_correct",
    "distill.traces.min_right": "distill.rejection_sampling.min_correct",
    "distill.traces.max_right": "distill.rejection_sampling.max_correct",
    "distill.student": "distill.student_view",
    "distill.student.how": "distill.student_view.replacement",
    "distill.teacher_shown": "distill.teacher_view",
    "distill.teacher_shown.how": "distill.teacher_view.replacement",
    "prealign.repetitive": "prealign.min_distinct_ngrams",
    "prealign.prior_samples": "prealign.reader_prior_samples",
    "probe.how": "probe.replacement",
    "probe.orders": "probe.option_permutations",
    "probe.until": "probe.stop_when_decided_by",
    "probe.round": "probe.samples_per_round",
    "probe.only": "probe.answer_kind",
    "benchmark.orders": "benchmark.option_permutations",
    "benchmark.view": "benchmark.clean_view",
    "benchmark.by": "benchmark.grade_by",
}
"""Old keys with the new ones; a section stands for all its settings that are not listed."""

RENAMED_VALUES: Mapping[str, Mapping[str, str]] = {
    "data.task": {"evidence": "describe", "told": "answer_from_description"},
    "model.attention": {"mask": "dense"},
}
"""By the new key: old values with the new ones."""


def new_name(key: str) -> str | None:
    """Return what an old key is called now; None for every other key."""
    head, rest = key, ""
    while head:
        if head in RENAMED:
            return RENAMED[head] + rest
        head, dot, name = head.rpartition(".")
        rest = f"{dot}{name}{rest}"
    return None


def refuse_renamed(source: str, key: str, value: object) -> None:
    """Raise where a key or its value goes by an old name."""
    name = new_name(key) or key
    new = RENAMED_VALUES.get(name, {}).get(value) if isinstance(value, str) else None
    if name != key:
        countable(key, value)
        raise ValueError(
            f"{source}: {key} is called {name} in this version, and old names are not read: give "
            f"{name}={value if new is None else new}"
        )
    if new is not None:
        raise ValueError(
            f"{source}: {key} is {value!r}, which is called {new} in this version, and old names "
            f"are not read: give {key}={new}"
        )
