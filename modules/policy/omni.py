"""The policy: embed media once, read each prompt once, sample or score many completions."""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from configs.choices import AttentionKind, DivergenceKind
from configs.policy import LoraConfig
from datamodules.batch import Batch, Completions
from modules.backbones.adapters import adapted, merged_weights, save_adapters
from modules.backbones.base import LanguageModel, evaluating
from modules.backbones.loading import load_model, parts_of
from modules.backbones.tower_cache import TowerCache
from modules.kernels.divergence import fused_divergence
from modules.kernels.logprobs import fused_scores
from modules.policy.decoding import generate
from modules.policy.reference import DisabledAdapterReference, Reference
from modules.policy.sampling import SampledCompletions, Sampling
from modules.policy.scoring import PackedStates, TokenScores, packed_states
from modules.policy.unreadable import unreadable
from modules.policy.vocabulary import Vocabulary
from modules.step.nonfinite import NonFiniteError
from modules.step.timer import PhaseTimer, timed


class OmniModel(nn.Module, Reference):
    """A model that embeds prompts, samples completions, and scores them.

    It is a thinker with towers, or a language model of text alone.
    """

    def __init__(
        self,
        thinker: PreTrainedModel,
        vocabulary: Vocabulary,
        *,
        attention: AttentionKind = "auto",
        tower_cache: TowerCache | None = None,
    ) -> None:
        super().__init__()
        self.thinker = thinker
        self.vocabulary = vocabulary
        self.attention = attention
        self.tower_cache = tower_cache
        rows = self.backbone.head.weight.shape[0]
        self.register_buffer("suppressed", vocabulary.suppressed_mask(rows), persistent=False)

    @staticmethod
    def load(
        path: str,
        tokenizer: object,
        *,
        dtype: torch.dtype = torch.float32,
        attention: AttentionKind = "auto",
        gradient_checkpointing: bool = False,
        freeze_towers: bool = False,
        lora: LoraConfig | None = None,
        tower_cache: str = "",
        tower_cache_gigabytes: float = 100.0,
    ) -> "OmniModel":
        """Read a checkpoint strictly; see `load_model`.

        Args:
            lora: adapters to train instead of the weights; see `add_adapters`.
            tower_cache: directory of cached outputs of these towers, which must be frozen.
        """
        whole = load_model(path, dtype=dtype, lora=lora, freeze_towers=freeze_towers)
        model = OmniModel(whole, Vocabulary(tokenizer), attention=attention)
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
        """The parts of the model by name; made anew, so that a deep copy names its own parts."""
        return parts_of(self.thinker)

    def embed_prompts(self, batch: Batch, *, cached_encoding: Tensor | None = None) -> Tensor:
        """Embed all prompts with their media in place: each tower runs once.

        Shapes: seen (sum of P, D_in) -> (sum of P, D_in), where the backbone chooses D_in

        Args:
            cached_encoding: an earlier encoding of these prompts, whose media are reused without
                their gradient instead of running the towers again: the same for frozen towers.
        """
        return self.backbone.embed(batch, cached_encoding=cached_encoding, cache=self.tower_cache)

    def hidden_states(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        scored: Tensor | None = None,
    ) -> PackedStates:
        """Compute the states that predict each token; gradients flow."""
        return packed_states(
            self.backbone,
            batch,
            completions,
            encoded=self.embed_prompts(batch) if encoded is None else encoded,
            scored=scored,
            attention=self.attention,
        )

    def scores(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        temperature: float = 1.0,
    ) -> TokenScores:
        """Score completions like `logprobs`, with the entropy in each token's place.

        Shapes: encoded (sum of P, D_in), completions (N, T) -> (N, T) float32 each
        """
        read = self.hidden_states(batch, completions, encoded=encoded)
        logprobs, entropy = fused_scores(
            read.states,
            read.weight,
            read.targets,
            suppressed=self.suppressed,
            temperature=temperature,
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
        """Compute the divergence of the policy from a teacher in the place of each token.

        Both read the same completions, each after its own view of the same prompts. Only the policy
        has a gradient, and only through its distributions: the tokens are given.

        Shapes: encoded (sum of P, D_in), completions (N, T) -> (N, T) float32, 0 on padding

        Args:
            kind, jsd_weight, temperature, top_k: see `fused_divergence`.
        """
        assert len(batch) == len(teacher_batch), "two views of the same prompts"
        self.vocabulary.require_same(teacher.vocabulary)
        with torch.no_grad():
            expected = teacher.hidden_states(teacher_batch, completions)
        read = self.hidden_states(batch, completions, encoded=encoded)
        divergence = fused_divergence(
            read.states,
            read.weight,
            expected.states,
            expected.weight,
            suppressed=self.suppressed,
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
        timer: PhaseTimer | None = None,
        after: Completions | None = None,
    ) -> SampledCompletions:
        """Sample G completions of each prompt, in eval mode, without gradients.

        Each prompt is read once; its cache is expanded to the group. `generate` with several
        return sequences would run towers and prompt G times, and mixes up media on the way. Logits
        that are infinite or NaN raise an error that names the prompts at fault.

        Shapes: uniforms (N, max_tokens), keyed by (seed, step, sample, rollout); N = B * G, or the
            rows of `after`

        Args:
            timer: of the phases towers, prefill and decode.
            after: tokens that already follow the prompts; each row is continued once, so that a
                prompt has as many completions as it has rows. Only new tokens are returned.
        """
        group = sampling.group_size
        owner = [row // group for row in range(len(batch) * group)]
        if after is not None:
            assert after.branch is None, "a fork has several ends"
            owner = after.owner
        assert len(uniforms) == len(owner), "each completion has its own draws"
        with evaluating(self):
            if encoded is None:
                with timed(timer, "towers"):
                    encoded = self.embed_prompts(batch)
            try:
                ids, logprobs, mask = generate(
                    self.backbone,
                    batch,
                    after,
                    owner,
                    encoded=encoded.detach(),
                    sampling=sampling,
                    uniforms=uniforms.to(encoded.device),
                    suppressed=self.suppressed,
                    stop_id=self.vocabulary.end_id,
                    attention=self.attention,
                    timer=timer,
                )
            except NonFiniteError as error:
                raise unreadable(self.backbone, batch, after, attention=self.attention) from error
        return SampledCompletions.of(ids, logprobs, mask, owner=owner, vocabulary=self.vocabulary)

    def reference(self) -> Reference:
        """Freeze the policy as it is now: its weights without adapters, which begin without effect,
        or else a copy."""
        if self.adapted:
            return DisabledAdapterReference(self, self.thinker)
        frozen = copy.deepcopy(self).eval()
        return frozen.requires_grad_(False)

    def save(self, path: Path) -> None:
        """Write whole weights, adapters merged, as a directory that `from_pretrained` loads."""
        self.thinker.save_pretrained(path, state_dict=merged_weights(self.thinker))

    def save_adapter(self, path: Path, *, base: str) -> None:
        """Write the adapters alone, in peft's format; see `save_adapters`."""
        save_adapters(self.thinker, path, base=base)
