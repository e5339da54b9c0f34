"""One wrapper for the policy: encode media once, read each prompt once, answer many times."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import DynamicCache, Qwen2_5OmniThinkerForConditionalGeneration

from configs.inputs import LoraConfig
from datamodules.batch import Batch, Completions
from modules.adapters import adapted, add_adapters, merged_weights, save_adapters
from modules.backbone import Backbone, evaluating, load_thinker, save_thinker
from modules.kernels.layout import GroupLayout
from modules.kernels.logprobs import fused_logprobs, fused_scores
from modules.reference import AdaptersOff, Reference
from modules.rollouts import Rollout, Sampling, decode_group, expand_cache
from modules.scoring import Reading, TokenScores, next_position, read_completions
from modules.stopwatch import Stopwatch, lap
from modules.vocabulary import Vocabulary


class OmniModel(nn.Module):
    """A thinker behind six verbs: encode, logprobs, scores, sample, score_options, reference."""

    def __init__(
        self,
        thinker: Qwen2_5OmniThinkerForConditionalGeneration,
        vocabulary: Vocabulary,
        *,
        dense_attention: bool = False,
    ) -> None:
        super().__init__()
        self.thinker = thinker
        self.vocabulary = vocabulary
        self.dense_attention = dense_attention
        rows = thinker.lm_head.weight.shape[0]
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
    ) -> "OmniModel":
        """Read a checkpoint strictly; see `load_thinker`.

        Args:
            lora: adapters to train instead of the weights; see `add_adapters`.
        """
        thinker = load_thinker(path, dtype=dtype)
        if lora is not None:
            add_adapters(thinker, lora, towers=not freeze_towers)
        model = OmniModel(thinker, Vocabulary(tokenizer), dense_attention=dense_attention)
        if gradient_checkpointing:
            model.backbone.checkpoint_gradients()
        if freeze_towers:
            model.backbone.audio_tower.requires_grad_(False)
            model.backbone.vision_tower.requires_grad_(False)
        return model

    @property
    def adapted(self) -> bool:
        """Tell whether adapters are trained instead of the weights."""
        return adapted(self.thinker)

    @property
    def backbone(self) -> Backbone:
        """The parts of the thinker by name; made anew so that a deep copy names its own parts."""
        return Backbone(self.thinker)

    def encode(self, batch: Batch, *, seen: Tensor | None = None) -> Tensor:
        """Embed all prompts with their media in place: each tower runs once.

        Shapes: seen (sum of P, D) -> (sum of P, D)

        Args:
            seen: an earlier encoding of these prompts, whose media are taken over without their
                gradient instead of running the towers again: the same where those are frozen.
        """
        parts = self.backbone
        embeddings: Tensor = parts.embedding(batch.prompt_ids)
        all_places = {
            "audio": batch.prompt_ids == parts.config.audio_token_id,
            "image": batch.prompt_ids == parts.config.image_token_id,
            "video": batch.prompt_ids == parts.config.video_token_id,
        }  # (sum of P,) each
        if seen is not None:
            assert seen.shape == embeddings.shape, "an encoding of other prompts"
            media = torch.stack([*all_places.values()]).any(0).unsqueeze(1)  # (sum of P, 1)
            return torch.where(media, seen.detach().to(embeddings.dtype), embeddings)
        all_states = {
            "audio": parts.hear(batch),
            "image": parts.see(batch.images, batch.image_grid),
            "video": parts.see(batch.videos, batch.video_grid),
        }
        for kind, states in all_states.items():
            places = all_places[kind]
            found, expected = 0 if states is None else len(states), int(places.sum())
            if found != expected:
                raise ValueError(
                    f"{found} {kind} features meet {expected} {kind} placeholders. Each feature "
                    "needs its placeholder: prompt and media must come from one PromptEncoder."
                )
            if states is not None:
                embeddings = embeddings.masked_scatter(
                    places.unsqueeze(1), states.to(embeddings.dtype)
                )
        return embeddings

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

        Shapes: encoded (sum of P, D), completions (N, T), scored (N, T)
            -> (N, T) float32, 0 on padding and on what is not scored

        Args:
            scored: True on the tokens whose log-probs are wanted, all of them unless told
                otherwise; the head runs for these alone. The others are read only, and may be
                tokens that can never be sampled.
        """
        read = self._read(batch, completions, encoded, scored)
        logprobs = fused_logprobs(
            read.states,
            self.backbone.head.weight,
            read.targets,
            banned=self.banned,
            temperature=temperature,
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

        Shapes: encoded (sum of P, D), completions (N, T) -> (N, T) float32 each
        """
        read = self._read(batch, completions, encoded, None)
        logprobs, entropy = fused_scores(
            read.states,
            self.backbone.head.weight,
            read.targets,
            banned=self.banned,
            temperature=temperature,
        )
        return TokenScores(logprobs=read.pad(logprobs), entropy=read.pad(entropy))

    @torch.no_grad()
    def sample(
        self,
        batch: Batch,
        sampling: Sampling,
        *,
        uniforms: Tensor,
        encoded: Tensor | None = None,
        watch: Stopwatch | None = None,
    ) -> Rollout:
        """Let the policy complete each prompt G times, in eval mode, without gradients.

        Each prompt is read once; its cache is expanded to the group. `generate` with several
        return sequences would run towers and prompt G times, and mixes up media on the way.

        Shapes: uniforms (B * G, max_tokens), keyed by (seed, step, sample, rollout)

        Args:
            watch: told how long towers, prefill and decode took.
        """
        with evaluating(self):
            if encoded is None:
                with lap(watch, "towers"):
                    encoded = self.encode(batch)
            layout = GroupLayout.build(batch.prompt_lens, device=encoded.device)
            cache = DynamicCache()
            with lap(watch, "prefill"):
                hidden = self.backbone.read(
                    encoded.detach().unsqueeze(0),
                    batch.positions.unsqueeze(1),
                    cache=cache,
                    group_layout=layout,
                    dense=self.dense_attention,
                )[0]  # (sum of P, D)
                logits = self._logits(hidden[layout.last_prompt_token])  # (B, V)
            with lap(watch, "decode"):
                group = sampling.group_size
                ids, logprobs, mask = decode_group(
                    self._decode,
                    logits.repeat_interleave(group, dim=0),
                    expand_cache(cache, layout, group),
                    layout.prompt_valid.repeat_interleave(group, dim=0),
                    next_position(batch, layout).repeat_interleave(group),
                    sampling=sampling,
                    uniforms=uniforms.to(encoded.device),
                    stop_id=self.vocabulary.end_id,
                )
                return Rollout.of(ids, logprobs, mask, group, self.vocabulary)

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
        save_thinker(self.thinker, path, merged_weights(self.thinker))

    def save_adapter(self, path: Path) -> None:
        """Write the adapters alone, in peft's format."""
        save_adapters(self.thinker, path)

    def _read(
        self, batch: Batch, completions: Completions, encoded: Tensor | None, scored: Tensor | None
    ) -> Reading:
        """Read prompts and completions, media too unless that was done."""
        return read_completions(
            self.backbone,
            batch,
            completions,
            encoded=self.encode(batch) if encoded is None else encoded,
            scored=scored,
            dense=self.dense_attention,
        )

    def _logits(self, hidden: Tensor) -> Tensor:
        """Predict the next token, media placeholders excluded. Shapes: (R, D) -> (R, V)"""
        logits: Tensor = self.backbone.head(hidden)
        return logits.masked_fill(self.banned, float("-inf"))

    def _decode(self, token: Tensor, position: Tensor, cache: DynamicCache, mask: Tensor) -> Tensor:
        """Read one more token of each row. Shapes: (R,), (R,), (R, 1, 1, L) -> (R, V)"""
        hidden = self.backbone.read(
            self.backbone.embedding(token).unsqueeze(1),
            position.expand(3, -1).unsqueeze(2),
            cache=cache,
            attention_mask=mask,
        )  # (R, 1, D)
        return self._logits(hidden[:, 0])
