"""What a question is, on disk and in memory; plain Python, so that judges need no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

Modality = Literal["audio", "image", "video"]
Role = Literal["context", "option"]
AnswerType = Literal["choice", "number", "set", "yes_no", "text", "math", "ocr", "regression"]
AnswerWith = Literal["letter", "text"]

LETTERS = "ABCDEFGHIJ"
"""The letters that name options, in order; its length is the most options a question may have."""

MAX_EXPRESSION = 256
"""Longest `math` answer in characters: algebra takes more than linear time."""


@dataclass(frozen=True, kw_only=True)
class Media:
    """One media file of a question."""

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
    and withholding it leaves the question undefined instead of harder."""

    text: str = ""
    """A transcript or a caption: what `replacement=described` shows in place of the medium."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One question, its answer, and its media.

    A sample never says which of its media it needs: that is for probes to find out.

    Sample(id="test-see-0007", question="Which digit is in the image?", options=("3", "8"),
           answer="B", answer_type="choice", media=(Media(modality="image", path="..."),),
           source="digits", asset_id="image-0412", content_hash="5f0c...")
    """

    id: str
    question: str
    options: tuple[str, ...] = ()
    """Texts of the options without their letters; empty for open questions."""

    answer: str
    """A letter for `choice`, canonical digits for `number` and `regression` (with % where they are
    percents), items joined by ", " for `set`, where a lone letter is that of an option, "yes" or
    "no" for `yes_no`, an expression for `math`, what is written there for `ocr`, the expected text
    for `text`."""

    answer_type: AnswerType
    tolerance: float = 0.0
    """Distance from the answer up to which a `number` or a `regression` is right."""

    verifier: str = ""
    """The user's own function that judges answers to a `text`, as `data.verifiers` names it; empty
    has them judged by rules."""

    media: tuple[Media, ...] = ()
    completion: str = ""
    """The target of SFT; empty where the answer alone, in its tags, is the target."""

    evidence: str = ""
    """A description of what in the media the question depends on; empty where there is none."""

    facts: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Metadata of the publisher, such as task, category or difficulty: for tables and official
    scores, never shown to a model."""

    source: str
    asset_id: str
    """The recording or image behind the question: splits are disjoint in it, and intervals are
    clustered by it."""

    content_hash: str
    """16 bytes in hexadecimal over question, options, answer, tolerance and the bytes of all media,
    so that scores of an earlier version are never used for a later one."""

    answer_with: AnswerWith = "letter"
    """How the options are named: by letters, which are then the answer, or by their texts alone. An
    answer is read by what was shown; see `orders.arrange_options`."""

    @property
    def letters(self) -> str:
        """The letters of this sample's options, `""` for open questions."""
        return LETTERS[: len(self.options)]

    @property
    def names(self) -> Sequence[str]:
        """What an answer calls each of the options."""
        return self.letters if self.answer_with == "letter" else self.options

    @property
    def named_answer(self) -> str:
        """The answer with options named as they are shown."""
        if self.answer_type == "choice":
            return self.names[self.letters.index(self.answer)]
        if self.answer_type != "set" or not self.options or self.answer_with == "letter":
            return self.answer
        items = [item.strip() for item in self.answer.split(",")]
        return ", ".join(
            self.options[LETTERS.index(item)] if item in tuple(self.letters) else item
            for item in items
        )

    @property
    def free(self) -> bool:
        """Whether a free text is asked for, without tags around it."""
        return self.answer_type == "text" and self.completion == self.answer

    def alike(self, letter: str) -> str:
        """List the letters of the options equal to that of a letter, in order.

        Publishers sometimes list an option twice, and an answer that names either means both.
        """
        place = LETTERS.index(letter)
        if self.options.count(self.options[place]) == 1 or not self.options[place]:
            return letter  # as almost always
        shown = [replace(one, role="context") for one in self.media if one.role == "option"]
        said = [*zip(self.options, shown, strict=True)] if shown else self.options
        return "".join(LETTERS[at] for at, one in enumerate(said) if one == said[place])

    @property
    def right(self) -> str:
        """The right letters of a choice: several where options are equal."""
        return self.alike(self.answer)


ANSWER_TYPES: tuple[str, ...] = get_args(AnswerType)
MODALITIES: tuple[str, ...] = get_args(Modality)
