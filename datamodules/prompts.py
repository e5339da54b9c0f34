"""From a question and its decoded media to what a Qwen-Omni thinker reads, one sample at a time.

The processor's parts are called on each medium alone and the placeholders are expanded here: a
medium is then processed once however many questions use it, audio is not padded to five minutes,
and the result does not depend on which transformers release wrote the joint call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoProcessor

from datamodules.media import Decoded, MediaError
from datamodules.positions import rope_positions, visual_block
from datamodules.sample import Role, Sample
from datamodules.wording import AnswerWith, specimen, turn


@dataclass(frozen=True, kw_only=True)
class Features:
    """One medium as a tower takes it."""

    kind: str
    """`audio`, `image` or `video`; a video with sound becomes two features."""

    values: Tensor
    """audio: (mel bins, frames); image and video: (patches, patch volume)"""

    grid: Tensor
    """audio: (1,) frames; image and video: (3,) patches along time, height and width"""

    tokens: int
    """Placeholders that it fills in the prompt."""

    seconds_per_grid: float = 0.0
    """Seconds between two steps of a video's time axis."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt, ready to be packed with others."""

    token_ids: Tensor
    """(P,)"""

    positions: Tensor
    """(3, P)"""

    features: tuple[Features, ...]


class _Rope(Protocol):
    """The numbers of a model's configuration that its positions depend on."""

    position_id_per_seconds: int


class PromptEncoder:
    """Speak to one model: its tokenizer, its chat template, its feature extractors."""

    def __init__(
        self, path: str, *, system_prompt: str = "", answer_with: AnswerWith = "letter"
    ) -> None:
        try:
            config = AutoConfig.from_pretrained(path)
            self.processor = AutoProcessor.from_pretrained(path)
        except OSError as error:
            raise ValueError(
                f"{path} is neither a directory with a model and its processor, nor a model that "
                f"can be fetched from the hub ({str(error).splitlines()[0]}). Check model.path, "
                "init_from or benchmark.checkpoints; a run leaves its weights in RUN/export."
            ) from error
        self.config: _Rope = getattr(config, "thinker_config", config)  # full Omni nests it
        self.commit: str | None = getattr(config, "_commit_hash", None)  # set for hub models only
        self.tokenizer = self.processor.tokenizer
        # Frames fit data.media.image_max_pixels already; a second cap, whose default changes with
        # transformers 5.22, would change the tokens of a video behind the probe cache's back.
        self.processor.video_processor.cap_pixels_per_frame = False
        self.system_prompt = system_prompt
        self.answer_with: AnswerWith = answer_with

    @cached_property
    def template_hash(self) -> str:
        """Identify how questions are put: a probe under another wording is another probe."""
        parts = [str(self.tokenizer.chat_template), self.system_prompt, specimen(self.answer_with)]
        return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()

    @cached_property
    def end_id(self) -> int:
        """The token that ends a turn, which stops a completion."""
        ended: int = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        return ended

    def features(self, decoded: Decoded) -> tuple[Features, ...]:
        """Turn one decoded medium into tower inputs."""
        made = []
        if decoded.image is not None:
            made.append(self._image(decoded.image))
        if decoded.frames is not None:
            made.append(self._video(decoded.frames, fps=decoded.fps or 1.0))
        if decoded.audio is not None:
            made.append(self._audio(decoded.audio))
        return tuple(made)

    def _image(self, image: np.ndarray) -> Features:
        out = self.processor.image_processor(
            images=[image], input_data_format="channels_last", return_tensors="pt"
        )
        grid = out["image_grid_thw"][0]
        return Features(
            kind="image",
            values=out["pixel_values"],
            grid=grid,
            tokens=int(grid.prod()) // self.processor.image_processor.merge_size**2,
        )

    def _video(self, frames: np.ndarray, *, fps: float) -> Features:
        processor = self.processor.video_processor
        stacked = torch.from_numpy(frames).permute(0, 3, 1, 2)  # (F, 3, height, width)
        out = processor(videos=[stacked], do_sample_frames=False, return_tensors="pt")
        grid = out["video_grid_thw"][0]
        return Features(
            kind="video",
            values=out["pixel_values_videos"],
            grid=grid,
            tokens=int(grid.prod()) // processor.merge_size**2,
            seconds_per_grid=processor.temporal_patch_size / fps,
        )

    def _audio(self, wave: np.ndarray) -> Features:
        extractor = self.processor.feature_extractor
        frames = -(-len(wave) // extractor.hop_length)
        # One window of silence behind the clip: the last frames then see what they would see in
        # the extractor's own padding, instead of a mirror image of the clip.
        padded = np.pad(wave, (0, 2 * extractor.n_fft))
        mel = extractor(
            padded,
            sampling_rate=extractor.sampling_rate,
            padding="longest",
            truncation=False,  # data.media.audio_max_seconds is the only limit
            return_tensors="pt",
        )["input_features"][0, :, :frames]
        tokens = ((frames - 1) // 2 + 1 - 2) // 2 + 1
        if tokens < 1:
            raise MediaError(
                f"a clip of {len(wave)} samples is shorter than one audio token (40 ms): "
                "leave the sample out or lengthen its segment."
            )
        return Features(kind="audio", values=mel, grid=torch.tensor([frames]), tokens=tokens)

    def prompt(
        self,
        sample: Sample,
        media: Sequence[tuple[Role, tuple[Features, ...]]],
        *,
        ask: bool = True,
        suffix: str = "",
    ) -> Prompt:
        """Write the question as a chat turn with its media in place.

        Args:
            media: role and features of each medium, in the order of the sample; no features where
                nothing of it is shown.
            ask: False leaves the question out, and its options in.
            suffix: what is said below the question.
        """
        self._refuse_special_tokens(sample)
        roles = [role for role, _ in media]
        pieces = turn(sample, answer_with=self.answer_with, ask=ask, suffix=suffix, roles=roles)
        shown = [piece if isinstance(piece, str) else media[piece][1] for piece in pieces]
        features = [feature for group in shown if not isinstance(group, str) for feature in group]
        text = self._text(shown)
        ids = self.tokenizer(self._expand(text, features), add_special_tokens=False)["input_ids"]
        ordered = sorted(features, key=lambda feature: feature.kind)  # audio, image, video
        positions = self._positions(ids, features)
        return Prompt(token_ids=torch.tensor(ids), positions=positions, features=tuple(ordered))

    def _refuse_special_tokens(self, sample: Sample) -> None:
        """Keep a question from closing its own turn or naming media that it does not have."""
        for text in (sample.question, *sample.options, sample.completion):
            if found := next((token for token in self._special_tokens if token in text), None):
                raise MediaError(  # set aside like a file that cannot be shown
                    f"{sample.id} holds {found!r}, but question, options and completion may not "
                    "contain special tokens of the model: reword it, or leave it out.",
                    kind="malformed",
                    path=sample.id,
                )

    @cached_property
    def _special_tokens(self) -> list[str]:
        added = self.tokenizer.added_tokens_decoder.values()
        return [token.content for token in added if token.special]

    def target(self, sample: Sample) -> list[int]:
        """Tokenize the completion that SFT imitates, end token included."""
        if sample.completion:
            return self._completion(sample.completion)
        answer = sample.answer
        if sample.options and self.answer_with == "text":
            answer = sample.options[sample.letters.index(answer)]
        return self._completion(f"<answer>{answer}</answer>")

    def option_targets(self, sample: Sample) -> list[list[int]]:
        """Tokenize the answer that names each option, for scoring without sampling."""
        named = sample.letters if self.answer_with == "letter" else sample.options
        return [self._completion(f"<answer>{name}</answer>") for name in named]

    def _completion(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [*ids, self.end_id]

    def _text(self, shown: Sequence[str | tuple[Features, ...]]) -> str:
        """Render the chat; every medium is still one placeholder."""
        parts: list[dict[str, str]] = []
        for piece in shown:
            if isinstance(piece, str):
                parts.append({"type": "text", "text": piece})
            else:
                parts += [{"type": feature.kind} for feature in piece]
        chat: list[dict[str, object]] = [{"role": "user", "content": parts}]
        if self.system_prompt:
            system = {"type": "text", "text": self.system_prompt}
            chat.insert(0, {"role": "system", "content": [system]})
        rendered: str = self.processor.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=False
        )
        return rendered

    @cached_property
    def _placeholders(self) -> dict[str, str]:
        return {
            "audio": self.processor.audio_token,
            "image": self.processor.image_token,
            "video": self.processor.video_token,
        }

    def _expand(self, text: str, features: Sequence[Features]) -> str:
        """Repeat each placeholder as often as its medium has tokens."""
        out, rest = "", text
        for feature in features:
            token = self._placeholders[feature.kind]
            before, found, rest = rest.partition(token)
            if not found or any(other in before for other in self._placeholders.values()):
                raise ValueError(
                    f"the prompt {text!r} does not hold {token} where {len(features)} media "
                    "expect it. Question and options may not contain media tokens; mend the row, "
                    "or the model's chat template."
                )
            out += before + token * feature.tokens
        if any(token in rest for token in self._placeholders.values()):
            raise ValueError(
                f"the prompt {text!r} holds more media tokens than media: question and options "
                "may not contain them; mend the row."
            )
        return out + rest

    def _positions(self, ids: Sequence[int], features: Sequence[Features]) -> Tensor:
        """Number the tokens of a prompt. Shapes: P ids -> (3, P)"""
        merge = self.processor.image_processor.merge_size
        blocks = [
            visual_block(
                feature.grid // torch.tensor([1, merge, merge]),
                feature.seconds_per_grid * self.config.position_id_per_seconds,
            )
            for feature in features
            if feature.kind != "audio"
        ]
        kinds = [self._placeholders[kind] for kind in ("image", "video")]
        return rope_positions(ids, blocks, visual_ids=self.tokenizer.convert_tokens_to_ids(kinds))
