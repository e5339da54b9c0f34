"""What a question is, on disk and in memory; plain Python, for whoever judges answers."""

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
"""Characters of the longest `math` answer: algebra takes more than linear time."""


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

    text: str = ""
    """The same in words, a transcript or a caption, which `replacement=described` shows instead."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One question, its answer, and the media it is asked about.

    A sample never says which of its media it needs: that is what probes are there to find out.

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

    media: tuple[Media, ...] = ()
    completion: str = ""
    """What SFT imitates; empty where the answer alone, in its tags, is to be imitated."""

    evidence: str = ""
    """What of the media the question turns on, in words; empty where nobody wrote it down."""

    facts: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What its publisher says of it, such as task, category or difficulty: for tables and official
    scores, never shown to a model."""

    source: str
    asset_id: str
    """The recording or picture behind the question: splits are disjoint in it, and intervals are
    clustered by it."""

    content_hash: str
    """16 bytes in hexadecimal over question, options, answer, tolerance and the bytes of all media,
    so that a score of yesterday's wording never meets today's."""

    answer_with: AnswerWith = "letter"
    """How the options are named where the question is put: behind letters, by which they are to be
    answered, or by their texts alone. What is shown decides how an answer is read; see
    `wording.put`."""

    @property
    def letters(self) -> str:
        """The letters of this sample's options, `""` for open questions."""
        return LETTERS[: len(self.options)]

    @property
    def names(self) -> Sequence[str]:
        """What an answer calls each of the options that are shown."""
        return self.letters if self.answer_with == "letter" else self.options

    @property
    def named_answer(self) -> str:
        """The answer as it is to be given where the question is put."""
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
        """Whether its words are asked for as they come, without tags around them."""
        return self.answer_type == "text" and self.completion == self.answer

    def alike(self, letter: str) -> str:
        """List the letters of the options that say or show the same as that of a letter, in order.

        Publishers list an option twice now and then, and whoever names either means both.
        """
        place = LETTERS.index(letter)
        if self.options.count(self.options[place]) == 1 or not self.options[place]:
            return letter  # as almost always
        shown = [replace(one, role="context") for one in self.media if one.role == "option"]
        said = [*zip(self.options, shown, strict=True)] if shown else self.options
        return "".join(LETTERS[at] for at, one in enumerate(said) if one == said[place])

    @property
    def right(self) -> str:
        """The letters of a choice that are right: several where options are equal."""
        return self.alike(self.answer)


ANSWER_TYPES: tuple[str, ...] = get_args(AnswerType)
MODALITIES: tuple[str, ...] = get_args(Modality)
