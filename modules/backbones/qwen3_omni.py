"""Qwen3-Omni, as its thinker, a mixture of experts: audio and vision in, text out; no talker.

Experts are chosen for each token alone, so that a prompt read once for all of its completions gets
the same experts as copies of it would. There is no loss that balances experts.
"""

from typing import final

import torch
from torch import Tensor
from torch.nn.functional import pad

from modules.backbones.multimodal import Thinker
from modules.backbones.qwen3_vl import Deepstacked

SPEECH_PREFIXES = ("talker.", "code2wav.")
"""Prefixes of a whole model's tensors that are not the thinker's."""


@final
class Qwen3Omni(Deepstacked, Thinker):
    """The parts of a Qwen3-Omni thinker."""

    def encode_media(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """Encode media of one kind; of audio, nothing is added to deeper layers.

        Shapes: as `Batch` has them -> (tokens of all, D_in)
        """
        if kind != "audio":
            return self.encode_visual(values, sizes)
        states = self._hear(values, sizes)
        return pad(states, (0, self.width - states.shape[1]))

    def _hear(self, spectra: Tensor, frames: Tensor) -> Tensor:
        """Encode clips, each as if it were alone.

        The tower pads sounds shorter than a pair of windows to the longest of their company, and
        its convolutions let that show at their ends: these are heard one by one, the others at
        once.

        Shapes: spectra (mel bins, sum of frames), frames (clips,) -> (audio tokens, D)
        """
        dtype = next(self.audio_tower.parameters()).dtype
        clips = spectra.to(dtype).split(frames.tolist(), dim=1)
        short = (frames < 2 * self.audio_tower.config.n_window).tolist()
        together = [number for number, alone in enumerate(short) if not alone]
        heard: dict[int, Tensor] = {}
        for group in (together, *([number] for number, alone in enumerate(short) if alone)):
            if group:
                packed, lens = torch.cat([clips[number] for number in group], dim=1), frames[group]
                states = self.audio_tower(packed, feature_lens=lens).last_hidden_state
                split = states.split(self.audio_tokens(lens))
                heard.update(zip(group, split, strict=True))
        return torch.cat([heard[number] for number in range(len(clips))])

    def audio_tokens(self, frames: Tensor) -> list[int]:
        """Count the placeholders of each clip. Shapes: (clips,)"""
        return [
            count_audio_tokens(count, self.audio_tower.config.n_window) for count in frames.tolist()
        ]


def count_audio_tokens(frames: int, window: int) -> int:
    """Count the tokens of a clip: three halvings of every full pair of windows, and of the rest.

    Args:
        frames: of its mel spectrogram.
        window: half of what the tower's convolutions take at once, in frames.
    """
    whole, rest = divmod(frames, 2 * window)
    return whole * _thrice_halved(2 * window) + _thrice_halved(rest)


def _thrice_halved(frames: int) -> int:
    for _ in range(3):
        frames = -(-frames // 2)
    return frames
