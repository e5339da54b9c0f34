"""One wrapper for the policy: encode media once, read each prompt once, answer many times."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from configs.choices import DivergenceKind
from configs.policy import LoraConfig
from datamodules.batch import Batch, Completions
from modules.backbones.adapters import adapted, merged_weights, save_adapters
from modules.backbones.base import LanguageModel, evaluating, save_model
from modules.backbones.loading import load_model, parts_of
from modules.backbones.tower_cache import TowerCache
from modules.kernels.divergence import fused_divergence
from modules.kernels.logprobs import fused_logprobs, fused_scores
from modules.policy.decoding import complete
from modules.policy.reference import AdaptersOff, Reference
from modules.policy.sampling import Rollout, Sampling
from modules.policy.scoring import Prediction, TokenScores, predict_completions
from modules.policy.vocabulary import Vocabulary
from modules.step.timer import Stopwatch, lap


class OmniModel(nn.Module):
    """A model behind eight verbs: encode, predict, logprobs, scores, divergence, sample,
    score_options, reference.

    It is a thinker, or for those who need no ears and eyes a language model of text alone.
    """

    def __init__(
        self,
        thinker: PreTrainedModel,
        vocabulary: Vocabulary,
        *,
        dense_attention: bool = False,
        tower_cache: TowerCache | None = None,
    ) -> None:
        super().__init__()
        self.thinker = thinker
        self.vocabulary = vocabulary
        self.dense_attention = dense_attention
        self.tower_cache = tower_cache
        rows = self.backbone.head.weight.shape[0]
        self.register_buffer("banned", vocabulary.banned(rows), persistent=False)
        self.banned: Tensor

    @staticmethod
    def load(
        path: str,
        tokenizer: object,
        *,
        dtype: torch.dtype = torch.float32,
        dense_attention: bool = False,
        gradient_checkpointing: bool = False,
        freeze_towers: bool = False,
        lora: LoraConfig | None = None,
        tower_cache: str = "",
        tower_cache_gigabytes: float = 100.0,
    ) -> "OmniModel":
        """Read a checkpoint strictly; see `load_model`.

        Args:
            lora: adapters to train instead of the weights; see `add_adapters`.
            tower_cache: directory of what these towers, which must be frozen, made of media before.
        """
        whole = load_model(path, dtype=dtype, lora=lora, freeze_towers=freeze_towers)
        model = OmniModel(whole, Vocabulary(tokenizer), dense_attention=dense_attention)
        if gradient_checkpointing:
            model.backbone.checkpoint_gradients()
        if freeze_towers:
            model.backbone.freeze_towers()
        if tower_cache:
            assert freeze_towers, "the configuration caches frozen towers only"
            model.tower_cache = TowerCache(
                Path(tower_cache), model.backbone.towers, gigabytes=tower_cache_gigabytes
            )
        return model

    @property
    def adapted(self) -> bool:
        """Tell whether adapters are trained instead of the weights."""
        return adapted(self.thinker)

    @property
    def backbone(self) -> LanguageModel:
        """The parts of the model by name; made anew so that a deep copy names its own parts."""
        return parts_of(self.thinker)

    def encode(self, batch: Batch, *, seen: Tensor | None = None) -> Tensor:
        """Embed all prompts with their media in place: each tower runs once.

        Shapes: seen (sum of P, W) -> (sum of P, W), where W is what the backbone makes it

        Args:
            seen: an earlier encoding of these prompts, whose media are taken over without their
                gradient instead of running the towers again: the same where those are frozen.
        """
        return self.backbone.embed(batch, seen=seen, cache=self.tower_cache)

    def predict(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        scored: Tensor | None = None,
    ) -> Prediction:
        """Find the states that predict each token of completions, prompts shared within groups.

        Media are read too unless that was done. Gradients flow.

        Shapes: encoded (sum of P, W), completions (N, T), scored (N, T)

        Args:
            scored: True on the tokens whose places are wanted, all of them unless told otherwise.
        """
        return predict_completions(
            self.backbone,
            batch,
            completions,
            encoded=self.encode(batch) if encoded is None else encoded,
            scored=scored,
            dense=self.dense_attention,
        )

    def logprobs(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        temperature: float = 1.0,
        scored: Tensor | None = None,
    ) -> Tensor:
        """Score completions under the tempered policy, prompts shared within their group.

        Shapes: encoded (sum of P, W), completions (N, T), scored (N, T)
            -> (N, T) float32, 0 on padding and on what is not scored

        Args:
            scored: True on the tokens whose log-probs are wanted, all of them unless told
                otherwise; the head runs for these alone. The others are read only, and may be
                tokens that can never be sampled.
        """
        read = self.predict(batch, completions, encoded=encoded, scored=scored)
        logprobs = fused_logprobs(
            read.states, read.weight, read.targets, banned=self.banned, temperature=temperature
        )
        return read.pad(logprobs)

    def scores(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        temperature: float = 1.0,
    ) -> TokenScores:
        """Score completions like `logprobs`, and measure the entropy in each token's place.

        Shapes: encoded (sum of P, W), completions (N, T) -> (N, T) float32 each
        """
        read = self.predict(batch, completions, encoded=encoded)
        logprobs, entropy = fused_scores(
            read.states, read.weight, read.targets, banned=self.banned, temperature=temperature
        )
        return TokenScores(logprobs=read.pad(logprobs), entropy=read.pad(entropy))

    def divergence(
        self,
        batch: Batch,
        completions: Completions,
        teacher: Reference,
        teacher_batch: Batch,
        *,
        kind: DivergenceKind,
        jsd_weight: float = 0.5,
        temperature: float = 1.0,
        top_k: int = 0,
        encoded: Tensor | None = None,
    ) -> Tensor:
        """Measure how far the policy is from a teacher in the place of each token.

        Both read the same completions, each behind its own showing of the same prompts. Only the
        policy has a gradient, and only through what it expects: what was said stays as it is.

        Shapes: encoded (sum of P, W), completions (N, T) -> (N, T) float32, 0 on padding

        Args:
            kind, jsd_weight, temperature, top_k: see `fused_divergence`.
        """
        assert len(batch) == len(teacher_batch), "both are shown the same prompts"
        self.vocabulary.require_same(teacher.vocabulary)
        with torch.no_grad():
            expected = teacher.predict(teacher_batch, completions)
        read = self.predict(batch, completions, encoded=encoded)
        divergence = fused_divergence(
            read.states,
            read.weight,
            expected.states,
            expected.weight,
            banned=self.banned,
            kind=kind,
            jsd_weight=jsd_weight,
            temperature=temperature,
            top_k=top_k,
        )
        return read.pad(divergence)

    @torch.no_grad()
    def sample(
        self,
        batch: Batch,
        sampling: Sampling,
        *,
        uniforms: Tensor,
        encoded: Tensor | None = None,
        watch: Stopwatch | None = None,
        after: Completions | None = None,
    ) -> Rollout:
        """Let the policy complete each prompt G times, in eval mode, without gradients.

        Each prompt is read once; its cache is expanded to the group. `generate` with several
        return sequences would run towers and prompt G times, and mixes up media on the way.

        Shapes: uniforms (N, max_tokens), keyed by (seed, step, sample, rollout); N = B * G, or the
            rows of `after`

        Args:
            watch: told how long towers, prefill and decode took.
            after: what already stands behind the prompts; each row is read and completed once, so
                that a prompt has as many answers as it has rows, be they equally many or not. The
                rollout holds the answers alone.
        """
        group = sampling.group_size
        owner = [row // group for row in range(len(batch) * group)]
        if after is not None:
            assert after.branch is None, "a fork has no one end to go on from"
            owner = after.owner
        assert len(uniforms) == len(owner), "each completion has draws of its own"
        with evaluating(self):
            if encoded is None:
                with lap(watch, "towers"):
                    encoded = self.encode(batch)
            ids, logprobs, mask = complete(
                self.backbone,
                batch,
                after,
                owner,
                encoded=encoded.detach(),
                sampling=sampling,
                uniforms=uniforms.to(encoded.device),
                banned=self.banned,
                stop_id=self.vocabulary.end_id,
                dense=self.dense_attention,
                watch=watch,
            )
        return Rollout.of(ids, logprobs, mask, owner=owner, vocabulary=self.vocabulary)

    @torch.no_grad()
    def score_options(self, batch: Batch, options: Sequence[Sequence[Sequence[int]]]) -> Tensor:
        """Score every option of every prompt in one pass, without sampling.

        Args:
            options: for each prompt, the token ids of each of its options' completions.

        Shapes: -> (B, O) summed log-probs, -inf where a prompt has fewer than O options
        """
        owner = [prompt for prompt, group in enumerate(options) for _ in group]
        flat = Completions.of([ids for group in options for ids in group], owner)
        scores = self.logprobs(batch, flat.to(batch.prompt_ids.device)).sum(1)  # (N,)
        counts = torch.tensor([len(group) for group in options], device=scores.device)
        places = torch.arange(int(counts.max()), device=scores.device) < counts.unsqueeze(1)
        return torch.full_like(places, float("-inf"), dtype=scores.dtype).masked_scatter(
            places, scores
        )

    def reference(self) -> Reference:
        """Keep the policy as it is now: by its frozen weights if adapters are trained beside
        them, which a run starts without effect; else by a copy."""
        if self.adapted:
            return AdaptersOff(self, self.thinker)
        frozen = copy.deepcopy(self).eval()
        return frozen.requires_grad_(False)

    def save(self, path: Path) -> None:
        """Write whole weights, adapters merged, as a directory that `from_pretrained` loads."""
        save_model(self.thinker, path, merged_weights(self.thinker))

    def save_adapter(self, path: Path) -> None:
        """Write the adapters alone, in peft's format."""
        save_adapters(self.thinker, path)
