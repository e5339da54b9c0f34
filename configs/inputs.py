"""Settings of the data: which questions, their media, filters and mixture."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, get_args

from configs.ablation import Condition, Replacement
from configs.checks import at_least, from_0_to_1, positive
from configs.plugins import read_plugin, read_plugins

RuleName = Literal[
    "omniclean", "audiomcq", "vidground", "vidground_m1", "vidground_m2", "calibrated", "soft"
]
"""Rules that tell weak questions from strong ones, defined in datamodules/contribution/."""

Task = Literal["answer", "describe", "answer_from_description"]

FormatName = Literal[
    "auto",
    "manifest",
    "columns",
    "chat",
    "alpaca",
    "verl",
    "audiomcq",
    "avqa",
    "video_r1",
    "llava_video",
    "mmau",
    "mmar",
    "mmsu",
    "omnibench",
    "daily_omni",
    "worldsense",
    "av_odyssey",
    "video_mme",
    "video_mmmu",
    "mmvu",
    "longvideobench",
    "intentbench",
    "intentbench_train",
    "video_holmes",
    "video_holmes_train",
    "uno_bench",
    "omnivideobench",
    "cg_av_counting",
]
"""Formats of manifests; datamodules/sources has a reader for each."""


@dataclass(frozen=True, kw_only=True)
class MediaConfig:
    """How much of each file the model gets to see and hear."""

    image_max_pixels: int
    """Larger images and video frames are scaled down to this area, in pixels."""

    video_max_frames: int
    """Longer videos are sampled down to this many frames, evenly."""

    audio_max_seconds: float
    """Longer sounds are quarantined: a cut could take the answer away."""

    video_fps: float = 0.0
    """Frames that are read of each second of video, evenly, until there are `video_max_frames`;
    0 reads that many of any video."""

    prompt_max_pixels: int = 0
    """Pictures and frames of one prompt are scaled down to this area in all; 0 sets no limit."""

    prompt_max_audio_seconds: float = 0.0
    """Questions with more sound in all are quarantined; 0 sets no limit."""

    audio_in_video: bool = False
    """Interleave the sound of a video with its frames in time, as Qwen's omni-modal models can;
    otherwise it follows them."""

    def __post_init__(self) -> None:
        positive("data.media", self, "image_max_pixels", "video_max_frames", "audio_max_seconds")
        limits = ("video_fps", "prompt_max_pixels", "prompt_max_audio_seconds")
        at_least("data.media", 0, self, *limits)


@dataclass(frozen=True, kw_only=True)
class ContributionConfig:
    """The contribution filter: which training questions need their media, by cached probes."""

    rule: Literal["none", RuleName] = "none"
    """Rule that tells from probes which questions need their media; `none` trains on all."""

    condition: Condition | None = None
    """Condition of the probe; null is the rule's own."""

    replacement: Replacement | None = None
    """Replacement of withheld media in the probe; null is the rule's own."""

    keep: Literal["all", "strong", "not_weak", "weak"] = "strong"
    """Questions to train on: `all`, `strong`, `not_weak` or `weak`. Strong ones were shown to need
    their media, or no probe can decide; `not_weak` adds the undetermined; weak ones are answered
    without media."""

    control: Literal["filtered", "full", "random_same_size", "complement"] = "filtered"
    """What a filter is compared with: all questions, as many drawn at random, or those it drops."""

    disjoint_from: list[str] = field(default_factory=list)
    """Exports of runs whose training questions this one leaves out, whatever their band; each lies
    in its run directory, beside `selection.jsonl`."""

    weighted: bool = False
    """Draw questions in proportion to p(full) - p(ablated) instead of equally often."""

    curriculum_steps: int = 0
    """Optimizer steps at the start that read weak questions only; 0 has no curriculum."""

    samples: int | None = None
    """Answers per question and voter; null is the rule's own."""

    min_correct: int | None = None
    """Right answers among them that make a vote; null is the rule's own."""

    min_votes: int | None = None
    """Votes that make a question weak; null is the rule's own."""

    alpha: float = 0.05
    """Share of false decisions that `calibrated` admits among those it makes."""

    margin: float = 0.5
    """`calibrated` calls a question weak if its success is above chance, and strong if it is below
    `chance + margin * (1 - chance)`: 0.5 is knowing every other answer."""

    min_questions: int | None = None
    """Sources with fewer questions are kept whole as unstable; None is the rule's own."""

    on_missing: Literal["error", "keep", "drop", "probe"] = "error"
    """What happens to questions that were never probed; `probe` asks the model of the run now."""

    cache: str = "probes"
    """Directory of probe shards, inside `data.root` unless absolute."""

    probes: list[str] = field(default_factory=list)
    """Keys of the probes that vote, their beginnings, or `@DIRECTORY` of a run that probed, in the
    order of the rule's voters; empty takes those that suit the rule, if there are just as many."""

    refresh_every: int = 0
    """Optimizer steps after which the policy in training is probed again; 0 never does."""

    refresh_samples: int = 200
    """Questions that such a re-audit asks, the same each time."""

    def __post_init__(self) -> None:
        counts = ("samples", "min_correct", "min_votes", "min_questions", "refresh_samples")
        at_least("data.contribution", 1, self, *counts)
        at_least("data.contribution", 0, self, "curriculum_steps", "refresh_every")
        if self.refresh_every and self.rule == "none":
            raise ValueError(
                f"data.contribution.refresh_every is {self.refresh_every}, but rule=none judges "
                "no question: choose a rule, such as data.contribution.rule=calibrated, or leave "
                "refresh_every out."
            )
        if not (0 < self.alpha < 1 and 0 < self.margin < 1):
            raise ValueError(
                f"data.contribution.alpha is {self.alpha} and margin {self.margin}, but both are "
                "shares between 0 and 1: 5 percent is 0.05."
            )


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """Shares of sources or modalities in the training."""

    by: Literal["none", "source", "modality"] = "none"
    """Read as much of each `source` or `modality`; `none` reads all alike. A modality is the kinds
    of media of a question: `text`, `audio`, `image`, `video`, `audio+image`, ..."""

    shares: list[str] = field(default_factory=list)
    """NAME:SHARE of each, in any unit; empty gives all the same, and what is not named gets
    nothing."""

    unit: Literal["questions", "output_tokens"] = "questions"
    """What is shared out: questions, or the tokens of the completions to be imitated (OmniBoost's
    balance)."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which questions, and how they are read."""

    name: str
    """Short name that reports show."""

    root: str
    """Directory of the manifests; media paths are relative to it."""

    embedded: bool = False
    """The data are made by this project when `root` does not hold them yet."""

    format: str = "auto"
    """`auto` tells a manifest's format from the fields of its rows; or a name of docs/data.md; or
    FILE.py:FUNCTION, one of your own."""

    verifiers: list[str] = field(default_factory=list)
    """Verifiers of your own, each FILE.py:FUNCTION: the name of the function is an `answer_type`
    that rows may have. docs/extend.md says what it takes and returns."""

    outside_root: bool = False
    """Media may lie outside `root`: absolute paths, and links that lead out of it. URLs are
    refused either way."""

    train: str = "train"
    """Manifest of the training questions; `.jsonl` unless the name has another ending, and several
    are joined by `+`."""

    task: Task = "answer"
    """`answer`, `describe` or `answer_from_description`. A description says what the question turns
    on; to answer from one, it is shown in place of the media, from a field of the manifest."""

    val: str = "val"
    """Manifest that is scored during training; never a test set, which would choose by it."""

    val_share: float = 0.0
    """Share of the training assets that is held out and scored instead of `val`, with all their
    questions; 0 reads `val`."""

    val_overlap: Literal["refuse", "skip"] = "refuse"
    """What happens to questions of `val` that training shows too, about the same asset or the same
    in words and media: `refuse` lists them in shared.jsonl and stops, `skip` validates without."""

    workers: int = 0
    """Processes that decode media beside the trainer; 0 decodes in the trainer's own."""

    patience: int = 1800
    """Seconds that one of `workers` may take for a batch, or for all those of a round, before the
    run ends."""

    media_cache: str = ""
    """Directory of decoded media, each within its budget, shared by all runs; empty keeps none."""

    media_cache_gigabytes: float = 50.0
    """The cache of decoded media grows no further than this."""

    max_bad_share: float = 0.05
    """A run stops when more than this share of a manifest cannot be read, from 0 to 1."""

    max_test_share: float = 0.01
    """A run stops when more than this share of a manifest that it trains on, or chooses by, are
    known test questions, from 0 to 1; where there are fewer, they are set aside."""

    media: MediaConfig
    contribution: ContributionConfig = field(default_factory=ContributionConfig)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)

    def __post_init__(self) -> None:
        read_plugins("data.verifiers", self.verifiers)
        if ".py" in self.format:
            read_plugin("data.format", self.format)
        elif self.format not in (known := get_args(FormatName)):
            near = get_close_matches(self.format, known, n=1)
            raise ValueError(
                f"data.format is {self.format!r}, but must be one of {', '.join(known)}, or "
                f"FILE.py:FUNCTION{f'; did you mean {near[0]}?' if near else ''}"
            )
        at_least("data", 0, self, "workers")
        at_least("data", 1, self, "patience")
        positive("data", self, "media_cache_gigabytes")
        shares = ("max_bad_share", "max_test_share", "val_share")
        from_0_to_1("data", self, *shares, such_as="5 percent is 0.05")
