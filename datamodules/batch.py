"""What a question is, on disk and in memory: the one contract between data and modules.

Legend of shape letters, used by every function on tensors in this project:

    B  prompts in a batch              G  continuations of one prompt (the group)
    N  continuations in all, B * G     T  tokens of one continuation, padded on the right
    P  tokens of one prompt            S  tokens of one packed row, P + sum of its continuations
    V  vocabulary                      D  width of the hidden states
    H  attention heads                 K  key-value heads              E  width of one head
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from datamodules.sampler import draw_seed

Modality = Literal["audio", "image", "video"]
Role = Literal["context", "option"]
AnswerType = Literal["choice", "number", "set", "yes_no", "text"]

LETTERS = "ABCDEFGHIJ"
"""The letters that name options, in order; its length is the most options a question may have."""


@dataclass(frozen=True, kw_only=True)
class Media:
    """One file that a question shows or plays."""

    modality: Modality
    """A video is its frames and, where the file has one, its audio track."""

    path: str
    """Relative to the data root, with forward slashes."""

    start: float | None = None
    """Seconds into the file at which the segment begins; None is the file's beginning."""

    end: float | None = None
    """Seconds into the file at which the segment ends; None is the file's end."""

    role: Role = "context"
    """`option` marks media that *are* the answers: the i-th such item belongs to the i-th option,
    and taking it away leaves the question undefined instead of harder."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One question, its answer, and the media it is asked about.

    A sample never says which evidence it needs: that is what probes are there to find out.

        Sample(id="test-see-0007", question="Which digit is in the image?", options=("3", "8"),
               answer="B", answer_type="choice", media=(Media(modality="image", path="..."),),
               source="digits", asset_id="image-0412", content_hash="5f0c...")
    """

    id: str
    question: str
    options: tuple[str, ...] = ()
    """Texts of the options without their letters; empty for open questions."""

    answer: str
    """A letter for `choice`, canonical digits for `number`, items joined by ", " for `set`,
    "yes" or "no" for `yes_no`, the expected text for `text`."""

    answer_type: AnswerType
    media: tuple[Media, ...] = ()
    completion: str = ""
    """What SFT imitates; empty where the answer alone, in its tags, is to be imitated."""

    source: str
    asset_id: str
    """The recording or picture behind the question: splits are disjoint in it, and intervals are
    clustered by it."""

    content_hash: str
    """16 bytes in hexadecimal over question, options, answer and the bytes of all media, so that a
    score of yesterday's wording never meets today's."""

    @property
    def letters(self) -> str:
        """The letters of this sample's options, `""` for open questions."""
        return LETTERS[: len(self.options)]


ANSWER_TYPES: tuple[str, ...] = get_args(AnswerType)
MODALITIES: tuple[str, ...] = get_args(Modality)


@dataclass(kw_only=True)
class Batch:
    """B prompts, packed end to end, with their media once each.

    The same object feeds rollout, log-probs and update, so they cannot disagree on what the model
    was shown. Not frozen: Lightning moves it to the device, through `to`.
    """

    samples: Sequence[Sample]
    """The B questions, for verifiers and logs."""

    step: int
    """The micro-batch this is, counted from the start of the run: part of the key of every draw."""

    prompt_ids: Tensor
    """Token ids of all prompts, one after the other, media placeholders included. (sum of P,)"""

    prompt_lens: list[int]
    positions: Tensor
    """M-RoPE positions, each prompt starting at 0: time, height, width. (3, sum of P)"""

    audio: Tensor | None = None
    """Mel frames of all clips, in the order of their placeholders. (mel bins, sum of frames)"""

    audio_lens: Tensor | None = None
    """Mel frames of each clip. (clips,)"""

    images: Tensor | None = None
    """Flattened patches of all images. (sum of patches, channels * patch volume)"""

    image_grid: Tensor | None = None
    """Patches of each image along time, height and width. (images, 3)"""

    videos: Tensor | None = None
    """Flattened patches of all videos. (sum of patches, channels * patch volume)"""

    video_grid: Tensor | None = None
    """Patches of each video along time, height and width. (videos, 3)"""

    targets: list[list[int]] | None = None
    """Token ids of the completion to imitate for each prompt, end token included; None outside
    supervised training."""

    def __len__(self) -> int:
        return len(self.prompt_lens)

    def uniforms(self, *, seed: int, group_size: int, length: int) -> Tensor:
        """Draw the numbers that sampling inverts, each rollout's keyed by all that names it.

        A run that is killed and resumed, or another batch size, meets the same numbers.

        Shapes: -> (B * G, length)
        """
        keys = [
            draw_seed(seed, self.step, sample.id, rollout)
            for sample in self.samples
            for rollout in range(group_size)
        ]
        rows = [np.random.Generator(np.random.Philox(key=key)).random(length) for key in keys]
        return torch.from_numpy(np.stack(rows))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """Move the tensors; the questions stay where they are."""
        moved = {
            name: value.to(device, non_blocking=non_blocking)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)


@dataclass(kw_only=True)
class Completions:
    """N continuations of the prompts of a batch, padded on the right."""

    token_ids: Tensor
    """(N, T)"""

    lens: list[int]
    """Real tokens of each, the end token included where there is one."""

    owner: list[int]
    """The prompt that each continues."""

    @staticmethod
    def of(ids: Sequence[Sequence[int]], owner: Sequence[int]) -> "Completions":
        """Pad lists of token ids into one tensor."""
        rows = [torch.tensor(row, dtype=torch.long) for row in ids]
        return Completions(
            token_ids=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
            lens=[len(row) for row in ids],
            owner=list(owner),
        )

    def to(self, device: torch.device | str) -> "Completions":
        """Move the token ids."""
        return replace(self, token_ids=self.token_ids.to(device))
