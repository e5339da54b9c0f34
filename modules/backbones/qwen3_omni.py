"""Qwen3-Omni, as its thinker: it hears, sees and writes, and each token is read by a few of many
experts; who speaks is left out.

The experts are chosen for each token alone, so that a prompt which is read once for all its
completions chooses as each of its copies would. The loss that balances experts is not among ours.
"""

from typing import final

import torch
from torch import Tensor
from torch.nn.functional import pad

from modules.backbones.qwen3_vl import Deepstacked
from modules.backbones.sensing import Thinker

SPEAKING = ("talker.", "code2wav.")
"""Beginnings of the names of a whole model's tensors that are no thinker's."""


@final
class Qwen3Omni(Deepstacked, Thinker):
    """The parts of a Qwen3-Omni thinker."""

    def sense(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """Hear, or see; of what is heard, nothing is added to deeper layers.

        Shapes: as `Batch` has them -> (tokens of all, W)
        """
        if kind != "audio":
            return self.see(values, sizes)
        states = self._hear(values, sizes)
        return pad(states, (0, self.width - states.shape[1]))

    def _hear(self, spectra: Tensor, frames: Tensor) -> Tensor:
        """Encode sounds, each as if it were alone.

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
                split = states.split(self.heard(lens))
                heard.update(zip(group, split, strict=True))
        return torch.cat([heard[number] for number in range(len(clips))])

    def heard(self, frames: Tensor) -> list[int]:
        """Count the places that sounds fill. Shapes: (clips,)"""
        return [heard_tokens(count, self.audio_tower.config.n_window) for count in frames.tolist()]


def heard_tokens(frames: int, window: int) -> int:
    """Count the tokens of a sound: three halvings of every full pair of windows, and of the rest.

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
