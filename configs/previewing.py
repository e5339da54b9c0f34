"""Settings of previews, which show what a training would be given."""

from dataclasses import dataclass
from typing import Literal

from configs.checks import at_least

PreviewedStage = Literal["sft", "rlvr", "distill", "prealign"]


@dataclass(frozen=True, kw_only=True)
class PreviewConfig:
    """A preview: what a training with the same settings gives its model; no weights are loaded."""

    of: PreviewedStage = "sft"
    """Stage that is previewed, with its settings: `sft`, `rlvr`, `distill` or `prealign`."""

    n: int = 5
    """Questions that are shown of the first ones that the training reads, and as many of the
    strangest."""

    measured: int = 100
    """Questions whose media are read to measure lengths, evenly spread over those that are kept; 0
    reads all."""

    megabytes: float = 16.0
    """Most megabytes of pictures and sounds in the page; those beyond it are named in words."""

    def __post_init__(self) -> None:
        at_least("preview", 1, self, "n")
        at_least("preview", 0, self, "measured", "megabytes")
