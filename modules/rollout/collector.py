"""One round of sampling: completions for every prompt, their rewards, and better prompts for dull.

Everything drawn is keyed by (seed, round, sample, completion), so it does not matter how a round
is cut into micro-batches, nor what else was asked.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import final

import torch
from torch import Tensor

from configs.schema import RlvrConfig
from datamodules.batch import Batch
from modules.losses.advantages import informative
from modules.policy.omni import OmniModel
from modules.policy.sampling import Rollout, Sampling
from modules.rewards.verifier_reward import Elsewhere, Group, Jury, Utterance
from modules.rollout.experience import Experience, Sieve
from modules.step.timer import Stopwatch

Refill = Callable[[int, int], Batch | None]
"""(round of sampling, attempt) -> fresh prompts, or None where none of them could be read"""


@final
class Collector:
    """Samples with a policy, and lets a jury pay for what it says."""

    def __init__(
        self,
        policy: OmniModel,
        rlvr: RlvrConfig,
        jury: Jury,
        *,
        seed: int,
        refill: Refill | None,
        watch: Stopwatch,
    ) -> None:
        assert refill is not None or not rlvr.dynamic_sampling.max_batches, (
            "refilling needs prompts"
        )
        self.policy = policy
        self.rlvr = rlvr
        self.jury = jury
        self.seed = seed
        self.refill = refill
        self.watch = watch

    def collect(
        self, batches: Sequence[Batch], *, step: int
    ) -> tuple[list[Experience], list[Experience], dict[str, float]]:
        """Sample and judge a round: what to learn from, all that was tried, and what it took.

        Args:
            step: optimizer steps so far, which the weights of rewards go by.
        """
        # The towers' graph can serve the update as well if that is the only one, on these prompts.
        reused = (
            len(batches) == self.rlvr.updates == 1 and not self.rlvr.dynamic_sampling.max_batches
        )
        sampled = [self._experience(batch, step=step, reused=reused) for batch in batches]
        sieve = Sieve(wanted=sum(map(len, batches)), tried=list(sampled))
        attempts = 0
        if sieve.lacking and self.rlvr.dynamic_sampling.max_batches:
            attempts = self._refill(sieve, batches, step=step)
            sampled = sieve.deal([len(batch) for batch in batches])
        tried = sum(len(one.batch) for one in sieve.tried)
        tokens = sum(sum(one.rollout.completions.lens) for one in sieve.tried)
        alike = sum(int((~informative(one.reward)).sum()) for one in sieve.tried)
        stats = {"frac_reward_zero_std": alike / tried, "sampled_tokens": tokens}
        if self.rlvr.dynamic_sampling.max_batches:
            stats |= {
                "resample_batches": attempts,
                "prompts_sampled": tried,
                "prompts_missing": sieve.lacking,
            }
        return sampled, sieve.tried, stats

    def _refill(self, sieve: Sieve, batches: Sequence[Batch], *, step: int) -> int:
        """Try fresh prompts until there are enough with spread, or the bound is met."""
        assert self.refill is not None
        number = batches[0].step
        tried = {sample.id for batch in batches for sample in batch.samples}
        for attempt in range(self.rlvr.dynamic_sampling.max_batches):
            with self.watch.lap("resample"):
                fresh = self.refill(number, attempt)
            if fresh is not None:
                new = [at for at, sample in enumerate(fresh.samples) if sample.id not in tried]
                tried |= {sample.id for sample in fresh.samples}
                if new:  # a prompt met twice in a round would say the same again
                    sieve.tried.append(self._experience(fresh.select(new), step=step, reused=False))
            if not sieve.lacking:
                return attempt + 1
        return self.rlvr.dynamic_sampling.max_batches

    def _experience(self, batch: Batch, *, step: int, reused: bool) -> Experience:
        """Ask every prompt of a micro-batch, and pay for what was said."""
        batch = batch.to(self.policy.banned.device)
        with self.watch.lap("towers"), torch.set_grad_enabled(reused):
            encoded = self.policy.encode(batch)  # (sum of P, D)
        rollout = self._sample(batch, range(self.rlvr.group_size), encoded=encoded)
        elsewhere = self._elsewhere(batch)
        groups = [
            Group(sample=sample, said=said, elsewhere=elsewhere.get(sample.id, {}))
            for sample, said in zip(batch.samples, _uttered(rollout, len(batch)), strict=True)
        ]
        with self.watch.lap("reward"):
            earned = [one for group in self.jury.pay(groups, step=step) for one in group]

        def grouped(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, device=encoded.device).view(len(batch), -1)  # (B, G)

        return Experience(
            batch=batch,
            encoded=encoded,
            rollout=rollout,
            reward=grouped([one.reward for one in earned]),
            parts={name: grouped([one.parts[name] for one in earned]) for name in earned[0].parts},
            merit=grouped([one.merit for one in earned]),
            correct=grouped([one.verdict.correct for one in earned]),
            parsed=grouped([one.verdict.parsed for one in earned]),
        )

    def _elsewhere(self, batch: Batch) -> Mapping[str, Mapping[Elsewhere, Sequence[Utterance]]]:
        """Ask the prompts as other views show them; by id, then by view.

        Only what a view shows otherwise is asked: elsewhere there is nothing to compare.
        """
        said: dict[str, dict[Elsewhere, Sequence[Utterance]]] = defaultdict(dict)
        for view, numbers in self.jury.elsewhere.items():
            if changed := batch.changed(view):
                shown = batch.views[view].select(changed)
                uttered = _uttered(self._sample(shown, numbers), len(shown))
                for sample, one in zip(shown.samples, uttered, strict=True):
                    said[sample.id][view] = one
        return said

    def _sample(self, batch: Batch, numbers: range, *, encoded: Tensor | None = None) -> Rollout:
        """Draw the completions of each prompt that have these numbers."""
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
                batch, sampling, uniforms=uniforms, encoded=encoded, watch=self.watch
            )

    def _precision(self) -> AbstractContextManager[object]:
        """Sample in bfloat16 where that is asked for, else as training computes."""
        if self.rlvr.rollout_precision == "trainer":
            return nullcontext()
        return torch.autocast(self.policy.banned.device.type, dtype=torch.bfloat16)


def _uttered(rollout: Rollout, prompts: int) -> list[list[Utterance]]:
    """List what was said to each prompt, equally often to all."""
    said = [
        Utterance(text=text, tokens=tokens, finished=finished)
        for text, tokens, finished in zip(
            rollout.texts, rollout.completions.lens, rollout.finished, strict=True
        )
    ]
    size = len(said) // prompts
    return [said[start : start + size] for start in range(0, len(said), size)]
