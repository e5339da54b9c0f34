"""Settings of distillation: from filtered traces of its own, or on policy from a teacher."""

from dataclasses import dataclass, field
from typing import Literal

from configs.ablation import Condition, Replacement
from configs.checks import at_least, from_0_to_1, positive
from configs.choices import DivergenceKind

Method = Literal["self", "on_policy"]


@dataclass(frozen=True, kw_only=True)
class RejectionSamplingConfig:
    """Rejection sampling: traces, answers of the policy that are filtered and then imitated.

    The three filters are OmniBoost's (arXiv 2605.12034); what is sampled does not depend on them,
    so that another choice of filters samples nothing again.
    """

    samples: int = 8
    """Traces of each question."""

    temperature: float = 1.0
    """They are drawn at this temperature."""

    max_completion_tokens: int = 64
    """Traces stop after this many tokens; one that is cut is never imitated."""

    batch_size: int = 16
    """Questions that are asked at once."""

    limit: int = 0
    """Questions that are asked, from the beginning of those selected; 0 asks all."""

    only_correct: bool = True
    """Imitate right traces alone; the paper filters for it but does not say so in these words."""

    difficulty: bool = True
    """F1: leave out questions with fewer than `min_correct` right and finished traces, or more than
    `max_correct`."""

    min_correct: int = 1
    """Fewest correct traces of a question that `difficulty` keeps."""

    max_correct: int = 6
    """Most correct traces of a question that `difficulty` keeps."""

    quality: bool = True
    """F2: leave out traces that say that they cannot hear or see, or that write media tokens."""

    consistency: bool = True
    """F3: leave out traces whose reasoning comes to another answer than they give."""

    repair: bool = True
    """With `consistency`: where the reasoning comes to the right answer and another one is given,
    correct what is given instead."""

    cache: str = "traces"
    """Directory of sampled traces, inside `data.root` unless absolute."""

    def __post_init__(self) -> None:
        section = "distill.rejection_sampling"
        at_least(section, 1, self, "samples", "max_completion_tokens", "batch_size")
        at_least(section, 0, self, "limit", "min_correct")
        positive(section, self, "temperature")
        if self.difficulty and not self.min_correct <= self.max_correct <= self.samples:
            raise ValueError(
                f"distill.rejection_sampling.min_correct is {self.min_correct} and max_correct "
                f"{self.max_correct}, but they bound how many of samples={self.samples} traces are "
                "right: keep min_correct <= max_correct <= samples, or set "
                "distill.rejection_sampling.difficulty=false."
            )


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """What media the student or the teacher sees."""

    condition: Condition = "full"
    """What it is left with, in the words of probes."""

    replacement: Replacement = "absent"
    """What stands in for the rest."""

    video_max_frames: int = 0
    """Frames of a video, instead of `data.media.video_max_frames`; 0 is that."""

    @property
    def plain(self) -> bool:
        """Whether it is shown what the data show."""
        return self.condition == "full" and not self.video_max_frames


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Learning from traces of its own (`self`), or token by token from a teacher (`on_policy`)."""

    method: Method = "self"
    """`self` imitates filtered traces of its own; `on_policy` follows a teacher. The first is
    OmniBoost's third stage; in the second, the student completes, and its distribution at every
    token is brought closer to the teacher's (GKD, arXiv 2306.13649)."""

    rejection_sampling: RejectionSamplingConfig = field(default_factory=RejectionSamplingConfig)

    teacher: str = "reference"
    """`reference`, the policy that the run starts from, or other weights. They may be of any size
    with the same tokenizer: a directory, or an id on the hub."""

    divergence: DivergenceKind = "reverse_kl"
    """Of the two distributions: `reverse_kl` KL(student || teacher), `forward_kl` KL(teacher ||
    student), `jsd` the generalized Jensen-Shannon divergence."""

    jsd_weight: float = 0.5
    """Weight of the teacher in the mixture that `jsd` measures both against, between 0 and 1."""

    top_k: int = 0
    """Compare the teacher's likeliest tokens one by one and the rest as one; 0 compares all."""

    temperature: float = 1.0
    """The student completes at this temperature, and both are compared at it."""

    on_policy_share: float = 1.0
    """Share of prompts that the student completes; the others take the completion of the data
    (lambda of GKD)."""

    max_completion_tokens: int = 64
    """Completions stop after this many tokens."""

    student_view: ViewConfig = field(default_factory=ViewConfig)
    """What the student is shown."""

    teacher_view: ViewConfig = field(default_factory=ViewConfig)
    """What the teacher is shown, so that one may be privileged."""

    def __post_init__(self) -> None:
        at_least("distill", 1, self, "max_completion_tokens")
        at_least("distill", 0, self, "top_k")
        at_least("distill.student_view", 0, self.student_view, "video_max_frames")
        at_least("distill.teacher_view", 0, self.teacher_view, "video_max_frames")
        positive("distill", self, "temperature")
        from_0_to_1("distill", self, "on_policy_share", such_as="half of the prompts is 0.5")
        if not 0 < self.jsd_weight < 1:
            raise ValueError(
                f"distill.jsd_weight is {self.jsd_weight}, but lies between 0 and 1, where jsd "
                "would be 0: choose divergence=forward_kl or reverse_kl for its limits."
            )
