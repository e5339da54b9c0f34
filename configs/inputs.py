"""The sections that say which model and which questions."""

from dataclasses import dataclass, field
from typing import Literal

from configs.checks import at_least, positive


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which policy, and how it is held in memory."""

    name: str
    """Short name that reports and probe keys show."""

    path: str
    """Directory in Hugging Face format, or the id of a model on the hub."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights; logprobs and losses are float32 either way."""

    attention: Literal["split", "mask"] = "split"
    """`split` reads a prompt once for all its continuations; `mask` is its plain, slower twin."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    freeze_towers: bool = False
    """Train the language model only, not the audio and vision towers."""

    answer_with: Literal["letter", "text"] = "letter"
    """How a choice is asked for: options behind letters and the letter as answer (most
    benchmarks), or bare options and the text of one as answer (AudioMCQ)."""

    system_prompt: str = ""
    """First turn of every conversation; empty leaves the turn out."""


@dataclass(frozen=True, kw_only=True)
class MediaConfig:
    """How much of each file the model gets to see and hear."""

    image_max_pixels: int
    """Larger images and video frames are scaled down to this area, in pixels."""

    video_max_frames: int
    """Longer videos are sampled down to this many frames, evenly."""

    audio_max_seconds: float
    """Longer sounds are quarantined: a cut could take the answer away."""

    def __post_init__(self) -> None:
        positive("data.media", **vars(self))


@dataclass(frozen=True, kw_only=True)
class ContributionConfig:
    """Which training questions need their media, judged from cached probe counts."""

    rule: Literal["none", "vidground", "audiomcq"] = "none"
    """Arithmetic that turns probe counts into strong and weak; `none` trains on everything."""

    keep: Literal["all", "strong", "weak"] = "strong"
    """`strong` keeps questions that need their media, `weak` those answered without."""

    on_missing: Literal["error", "keep", "drop"] = "error"
    """What happens to questions that were never probed."""

    cache: str = "probes"
    """Directory of probe shards, inside `data.root` unless absolute."""

    probe: str | None = None
    """Key of the probe whose counts are used; None takes the only one that suits the rule."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which questions, and how they are read."""

    name: str
    """Short name that reports show."""

    root: str
    """Directory of the manifests; media paths are relative to it."""

    embedded: bool = False
    """The data are made by this project when `root` does not hold them yet."""

    train: str = "train"
    """Manifest of the training questions, without `.jsonl`."""

    val: str = "val"
    """Manifest that is scored during training, without `.jsonl`."""

    workers: int = 0
    """Processes that decode media beside the trainer; 0 decodes in the trainer's own."""

    max_bad_share: float = 0.05
    """A run stops when more than this share of a manifest cannot be read, from 0 to 1."""

    media: MediaConfig
    contribution: ContributionConfig = field(default_factory=ContributionConfig)

    def __post_init__(self) -> None:
        at_least("data", 0, workers=self.workers, max_bad_share=self.max_bad_share)
        if self.max_bad_share > 1:
            raise ValueError(
                f"data.max_bad_share is {self.max_bad_share}, but is a share from 0 to 1: "
                "5 percent is 0.05."
            )
