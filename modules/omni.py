"""One wrapper for the policy: encode media once, read each prompt once, answer many times."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import DynamicCache, Qwen2_5OmniThinkerForConditionalGeneration

from datamodules.batch import Batch, Completions
from modules.backbone import Backbone, load_thinker, save_thinker
from modules.kernels.layout import GroupLayout
from modules.kernels.logprobs import fused_logprobs
from modules.rollouts import Rollout, Sampling, decode_group, expand_cache


class Vocabulary:
    """What a policy needs of its tokenizer: where turns end, what may be said, how it reads."""

    def __init__(self, tokenizer: object, *, end_token: str = "<|im_end|>") -> None:
        # transformers' tokenizers share no typed base across releases
        self.tokenizer: object = tokenizer
        convert = tokenizer.convert_tokens_to_ids  # type: ignore[attr-defined]
        self.end_id: int = convert(end_token)
        self.size: int = len(tokenizer)  # type: ignore[arg-type]
        added = tokenizer.added_tokens_decoder  # type: ignore[attr-defined]
        self.special_ids: list[int] = sorted(id_ for id_, token in added.items() if token.special)

    def banned(self, rows: int) -> Tensor:
        """Mark what can never be sampled: every special token but the end of the turn, and the
        rows of the head beyond the tokenizer's last word. Shapes: -> (V,)"""
        banned = torch.zeros(rows, dtype=torch.bool)
        banned[self.special_ids] = True
        banned[self.size :] = True
        banned[self.end_id] = False
        return banned

    def text(self, ids: Sequence[int]) -> str:
        """Write token ids as text, special tokens left out."""
        decoded: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)  # type: ignore[attr-defined]
        return decoded


class OmniModel(nn.Module):
    """A thinker behind five verbs: encode, logprobs, sample, score_options, reference."""

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
    ) -> "OmniModel":
        """Read a checkpoint strictly; see `load_thinker`."""
        thinker = load_thinker(path, dtype=dtype)
        model = OmniModel(thinker, Vocabulary(tokenizer), dense_attention=dense_attention)
        if gradient_checkpointing:
            model.backbone.checkpoint_gradients()
        if freeze_towers:
            model.backbone.audio_tower.requires_grad_(False)
            model.backbone.vision_tower.requires_grad_(False)
        return model

    @property
    def backbone(self) -> Backbone:
        """The parts of the thinker by name; made anew so that a deep copy names its own parts."""
        return Backbone(self.thinker)

    def encode(self, batch: Batch) -> Tensor:
        """Embed all prompts with their media in place: each tower runs once.

        Shapes: -> (sum of P, D)
        """
        parts = self.backbone
        embeddings: Tensor = parts.embedding(batch.prompt_ids)
        media = {
            "audio": (parts.config.audio_token_id, parts.hear(batch)),
            "image": (parts.config.image_token_id, parts.see(batch.images, batch.image_grid)),
            "video": (parts.config.video_token_id, parts.see(batch.videos, batch.video_grid)),
        }
        for kind, (token_id, states) in media.items():
            places = batch.prompt_ids == token_id  # (sum of P,)
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
        if encoded is None:
            encoded = self.encode(batch)
        layout = GroupLayout.build(
            batch.prompt_lens,
            completions.lens,
            completions.owner,
            branch=completions.branch,
            device=encoded.device,
        )
        valid = layout.completion_valid  # (N, T)
        parts = self.backbone
        targets = completions.token_ids[valid]  # (sum of T,)
        row = torch.cat([encoded, parts.embedding(targets)])  # (S, D)
        start = self._next_position(batch, layout)[layout.owner]  # (N,)
        after = (start.unsqueeze(1) + layout.depth)[valid]  # (sum of T,)
        positions = torch.cat([batch.positions, after.expand(3, -1)], dim=1)  # (3, S)
        hidden = parts.read(
            row.unsqueeze(0),
            positions.unsqueeze(1),
            group_layout=layout,
            dense=self.dense_attention,
        )[0]  # (S, D)
        wanted = valid if scored is None else valid & scored  # (N, T)
        kept = wanted[valid]  # (sum of T,)
        logprobs = fused_logprobs(
            hidden[layout.predictor[kept]],
            parts.head.weight,
            targets[kept],
            banned=self.banned,
            temperature=temperature,
        )
        return layout.pad(logprobs, where=wanted)

    @torch.no_grad()
    def sample(
        self,
        batch: Batch,
        sampling: Sampling,
        *,
        uniforms: Tensor,
        encoded: Tensor | None = None,
    ) -> Rollout:
        """Let the policy complete each prompt G times, in eval mode, without gradients.

        Each prompt is read once; its cache is expanded to the group. `generate` with several
        return sequences would run towers and prompt G times, and mixes up media on the way.

        Shapes: uniforms (B * G, max_tokens), keyed by (seed, step, sample, rollout)
        """
        training = self.training
        self.eval()
        try:
            return self._sample(batch, sampling, uniforms, encoded)
        finally:
            self.train(training)

    def _sample(
        self, batch: Batch, sampling: Sampling, uniforms: Tensor, encoded: Tensor | None
    ) -> Rollout:
        """Prefill, expand, decode."""
        encoded = self.encode(batch) if encoded is None else encoded.detach()
        layout = GroupLayout.build(batch.prompt_lens, device=encoded.device)
        prefill = DynamicCache()
        hidden = self.backbone.read(
            encoded.unsqueeze(0),
            batch.positions.unsqueeze(1),
            cache=prefill,
            group_layout=layout,
            dense=self.dense_attention,
        )[0]  # (sum of P, D)
        group = sampling.group_size
        logits = self._logits(hidden[layout.last_prompt_token])  # (B, V)
        ids, logprobs, mask = decode_group(
            self._decode,
            logits.repeat_interleave(group, dim=0),
            expand_cache(prefill, layout, group),
            layout.prompt_valid.repeat_interleave(group, dim=0),
            self._next_position(batch, layout).repeat_interleave(group),
            uniforms=uniforms.to(encoded.device),
            temperature=sampling.temperature,
            stop_id=self.vocabulary.end_id,
        )
        return self._rollout(ids, logprobs, mask, group)

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

    def reference(self) -> "OmniModel":
        """Freeze a copy of the policy as it is now."""
        frozen = copy.deepcopy(self).eval()
        return frozen.requires_grad_(False)

    def save(self, path: Path) -> None:
        """Write the weights as a directory that `from_pretrained` loads."""
        save_thinker(self.thinker, path)

    def _next_position(self, batch: Batch, layout: GroupLayout) -> Tensor:
        """Where each prompt's continuations start: past its own maximum, which with media is not
        its length. Shapes: -> (B,)"""
        highest = batch.positions.amax(0)[layout.prompt_index]  # (B, P)
        return highest.masked_fill(~layout.prompt_valid, -1).amax(1) + 1

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

    def _rollout(self, ids: Tensor, logprobs: Tensor, mask: Tensor, group: int) -> Rollout:
        """Trim to the longest completion and write the texts."""
        lens = mask.sum(1).tolist()
        width = max(lens)
        rows = [row[:length] for row, length in zip(ids.tolist(), lens, strict=True)]
        return Rollout(
            completions=Completions(
                token_ids=ids[:, :width],
                lens=lens,
                owner=[row // group for row in range(len(rows))],
            ),
            logprobs=logprobs[:, :width],
            loss_mask=mask[:, :width],
            texts=[self.vocabulary.text(row) for row in rows],
            finished=[row[-1] == self.vocabulary.end_id for row in rows],
        )
