"""Collect rollouts: completions for every prompt, their rewards, and fresh prompts in the place of
those without variance in reward (dynamic sampling, DAPO, 2503.14476).

Everything drawn is keyed by (seed, step, sample, completion), so it does not matter how a list of
prompts is cut into micro-batches, nor what else was sampled.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import final

import torch
from torch import Tensor

from configs.schema import RlvrConfig
from datamodules.batch import Batch
from modules.losses.advantages import nonzero_std
from modules.policy.omni import OmniModel
from modules.policy.sampling import SampledCompletions, Sampling
from modules.rewards.completion import Completion
from modules.rewards.verifier_reward import ExtraView, Group, RewardFunction
from modules.rollout.rollout import Rollout
from modules.step.timer import PhaseTimer
from modules.verifiers.verify import chosen

FreshPrompts = Callable[[int, int], Batch | None]
"""(list of micro-batches, attempt) -> fresh prompts, or None where none of them could be read"""


@final
class RolloutCollector:
    """Samples with a policy, and rewards what was sampled."""

    def __init__(
        self,
        policy: OmniModel,
        rlvr: RlvrConfig,
        reward_function: RewardFunction,
        *,
        seed: int,
        fresh_prompts: FreshPrompts | None,
        timer: PhaseTimer,
    ) -> None:
        assert fresh_prompts is not None or not rlvr.dynamic_sampling.max_batches, (
            "resampling needs prompts"
        )
        self.policy = policy
        self.rlvr = rlvr
        self.reward_function = reward_function
        self.seed = seed
        self.fresh_prompts = fresh_prompts
        self.timer = timer

    def collect(
        self, batches: Sequence[Batch], *, step: int
    ) -> tuple[list[Rollout], list[Rollout], dict[str, float]]:
        """Return the rollouts to learn from, all that were sampled, and metrics.

        Args:
            step: optimizer steps so far, by which weights of the reward may change.
        """
        # The towers' graph can serve the update as well if that is the only one, on these prompts.
        max_batches, wanted = self.rlvr.dynamic_sampling.max_batches, sum(map(len, batches))
        keep_graph = len(batches) == self.rlvr.updates == 1 and not max_batches
        sampled = [self._rollout(batch, step=step, keep_graph=keep_graph) for batch in batches]
        rollouts, attempts = list(sampled), 0
        if max_batches and n_missing(sampled, wanted):
            fresh, attempts = self._resample(sampled, batches[0].step, wanted=wanted, step=step)
            sampled += fresh
            rollouts = to_micro_batches(sampled, [len(batch) for batch in batches])
        prompts = sum(len(one.batch) for one in sampled)
        zero_std = sum(int((~nonzero_std(one.rewards)).sum()) for one in sampled)
        metrics: dict[str, float] = {
            "frac_reward_zero_std": zero_std / prompts,
            "sampled_tokens": sum(sum(one.sampled.completions.lens) for one in sampled),
        }
        if max_batches:
            metrics |= {
                "resample_batches": attempts,
                "prompts_sampled": prompts,
                "prompts_missing": n_missing(sampled, wanted),
            }
        return rollouts, sampled, metrics

    def _resample(
        self, sampled: Sequence[Rollout], number: int, *, wanted: int, step: int
    ) -> tuple[list[Rollout], int]:
        """Sample fresh prompts until enough prompts have variance, or `max_batches` were drawn;
        return their rollouts and how many batches were drawn."""
        assert self.fresh_prompts is not None
        fresh: list[Rollout] = []
        seen = {sample.id for one in sampled for sample in one.batch.samples}
        for attempt in range(self.rlvr.dynamic_sampling.max_batches):
            with self.timer.timed("resample"):
                batch = self.fresh_prompts(number, attempt)
            if batch is not None:
                new = [at for at, sample in enumerate(batch.samples) if sample.id not in seen]
                seen |= {sample.id for sample in batch.samples}
                if new:  # a prompt met twice would be completed as before
                    fresh.append(self._rollout(batch.select(new), step=step, keep_graph=False))
            if not n_missing([*sampled, *fresh], wanted):
                return fresh, attempt + 1
        return fresh, self.rlvr.dynamic_sampling.max_batches

    def _rollout(self, batch: Batch, *, step: int, keep_graph: bool) -> Rollout:
        """Sample a group for every prompt of a micro-batch, and reward it."""
        batch = batch.to(self.policy.suppressed.device)
        with self.timer.timed("towers"), torch.set_grad_enabled(keep_graph):
            encoded = self.policy.embed_prompts(batch)  # (sum of P, D_in)
        sampled = self._sample(batch, range(self.rlvr.group_size), encoded=encoded)
        extra = self._sample_extra_views(batch)
        groups = [
            Group(sample=sample, completions=completions, extra=extra.get(sample.id, {}))
            for sample, completions in zip(
                batch.samples, _by_prompt(sampled, len(batch)), strict=True
            )
        ]
        with self.timer.timed("reward"):
            rewarded = self.reward_function(groups, step=step)
        results = [one for own in rewarded for one in own]

        def grouped(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, device=encoded.device).view(len(batch), -1)  # (B, G)

        names = results[0].parts
        return Rollout(
            batch=batch,
            encoded=encoded,
            sampled=sampled,
            mask_truncated=self.rlvr.mask_truncated_completions,
            rewards=grouped([one.reward for one in results]),
            reward_parts={name: grouped([one.parts[name] for one in results]) for name in names},
            filter_scores=grouped([one.filter_score for one in results]),
            correct=grouped([one.verdict.correct for one in results]),
            parsed=grouped([one.verdict.parsed for one in results]),
            letters=grouped(
                [
                    chosen(result.verdict, group.sample)
                    for group, own in zip(groups, rewarded, strict=True)
                    for result in own
                ]
            ),
        )

    def _sample_extra_views(
        self, batch: Batch
    ) -> Mapping[str, Mapping[ExtraView, Sequence[Completion]]]:
        """Complete the prompts as the views show them that the reward compares with; by id, then by
        view. Only prompts that a view shows otherwise: elsewhere there is nothing to compare."""
        extra: dict[str, dict[ExtraView, Sequence[Completion]]] = defaultdict(dict)
        for view, numbers in self.reward_function.extra_views.items():
            if changed := batch.changed(view):
                shown = batch.views[view].select(changed)
                completions = _by_prompt(self._sample(shown, numbers), len(shown))
                for sample, group in zip(shown.samples, completions, strict=True):
                    extra[sample.id][view] = group
        return extra

    def _sample(
        self, batch: Batch, numbers: range, *, encoded: Tensor | None = None
    ) -> SampledCompletions:
        """Sample the completions of each prompt that have these numbers, which key their draws."""
        sampling = Sampling(
            group_size=len(numbers),
            max_tokens=self.rlvr.max_completion_tokens,
            temperature=self.rlvr.temperature,
            top_k=self.rlvr.top_k,
        )
        uniforms = batch.uniforms(
            seed=self.seed,
            group_size=sampling.group_size,
            length=sampling.max_tokens,
            first=numbers.start,
        )  # (N, max_tokens)
        with self._precision():
            return self.policy.sample(
                batch, sampling, uniforms=uniforms, encoded=encoded, timer=self.timer
            )

    def _precision(self) -> AbstractContextManager[object]:
        """Sample in bfloat16 if `rlvr.rollout_precision` says so, else as training computes."""
        if self.rlvr.rollout_precision == "trainer":
            return nullcontext()
        return torch.autocast(self.policy.suppressed.device.type, dtype=torch.bfloat16)


def n_missing(sampled: Sequence[Rollout], wanted: int) -> int:
    """Count how many prompts with variance are still to be found."""
    return max(0, wanted - sum(int(one.nonzero_std.sum()) for one in sampled))


def to_micro_batches(sampled: Sequence[Rollout], sizes: Sequence[int]) -> list[Rollout]:
    """Make micro-batches of given sizes, of prompts with variance first and others for the rest, in
    turns, so that no micro-batch gets the others alone."""
    varied = torch.cat([one.nonzero_std for one in sampled])
    order = torch.argsort(~varied, stable=True).tolist()
    chosen: list[list[int]] = [[] for _ in sizes]
    for prompt in order[: sum(sizes)]:
        open_ = [part for part, size in zip(chosen, sizes, strict=True) if len(part) < size]
        min(open_, key=len).append(prompt)
    everything = Rollout.concat(sampled)
    return [everything.select(part) for part in chosen]


def _by_prompt(sampled: SampledCompletions, prompts: int) -> list[list[Completion]]:
    """List the completions of each prompt, which are equally many."""
    completions = [
        Completion(text=text, tokens=tokens, finished=finished)
        for text, tokens, finished in zip(
            sampled.texts, sampled.completions.lens, sampled.finished, strict=True
        )
    ]
    size = len(completions) // prompts
    return [completions[start : start + size] for start in range(0, len(completions), size)]
