"""Count the questions that are kept: kinds, answers, and those that are there twice."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from datamodules.contamination.near_duplicates import near_duplicates
from datamodules.contamination.overlap import ALIKE
from datamodules.contamination.same_media import wording
from datamodules.loading.mixture import media_kind
from datamodules.sample import Sample

MAJORITY = 0.6
"""Share of the questions from which an answer is the majority's: of two, one is always right to
half of them."""

COMPARED = 20_000
"""Most questions among which near-duplicates are looked for: those at the beginning."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the search for strange questions needs to know of every question."""

    id: str
    kind: str
    """Kinds of its media, as in `audio+image`."""

    answer_type: str
    media: int
    characters: int
    """Of question and options."""


@dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """The answers of one type, and the one that is right most often."""

    answer_type: str
    questions: int
    distinct: int
    """Different answers."""

    answer: str
    right: int
    """Questions to which it is right: what a guesser who always gives it would score."""

    chance: float | None
    """Mean share that guessing among the options scores; None for open questions."""

    @property
    def majority(self) -> bool:
        """Whether one of several answers is right to most of the questions."""
        return self.distinct > 1 and self.right >= MAJORITY * self.questions


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Questions that are there twice, each as the ids of the earlier and the later one."""

    same: Sequence[tuple[str, str]]
    """In every word and every byte of their media."""

    near: Sequence[tuple[str, str]]
    """About the same media in nearly the same words."""

    wordings: int
    """Different texts of questions, options aside."""

    compared: int


def list_entries(samples: Iterable[Sample]) -> list[Entry]:
    """List the entries of questions, in their order."""
    return [
        Entry(
            id=one.id,
            kind=media_kind(one),
            answer_type=one.answer_type,
            media=len(one.media),
            characters=len(wording(one.question, one.options)),
        )
        for one in samples
    ]


def count_answers(samples: Iterable[Sample]) -> list[AnswerRow]:
    """Count the answers of each type, options named as the model is to name them."""
    right: dict[str, Counter[str]] = defaultdict(Counter)
    golds: dict[str, set[str]] = defaultdict(set)
    questions: Counter[str] = Counter()
    options: dict[str, list[float]] = defaultdict(list)
    for one in samples:
        questions[one.answer_type] += 1
        golds[one.answer_type].add(one.named_answer)
        if one.answer_type == "choice":
            options["choice"].append(len(one.right) / len(one.options))
            named = (one.names[one.letters.index(letter)] for letter in one.right)
            right["choice"].update([*dict.fromkeys(named)])
        else:
            right[one.answer_type][one.named_answer] += 1
    rows = []
    for kind, count in questions.most_common():
        [(answer, most)] = right[kind].most_common(1)
        shares = options[kind]
        rows.append(
            AnswerRow(
                answer_type=kind,
                questions=count,
                distinct=len(golds[kind]),
                answer=answer,
                right=most,
                chance=sum(shares) / len(shares) if shares else None,
            )
        )
    return rows


def find_duplicates(samples: Iterable[Sample]) -> Duplicates:
    """Find questions that are the same, and those about the same media that are nearly the same."""
    seen: dict[str, str] = {}
    same: list[tuple[str, str]] = []
    groups: dict[object, list[tuple[str, str]]] = defaultdict(list)
    texts: Counter[str] = Counter()
    for one in islice(samples, COMPARED):
        texts[one.question] += 1
        if one.content_hash in seen:
            same.append((seen[one.content_hash], one.id))
            continue
        seen[one.content_hash] = one.id
        shown = tuple((item.path, item.start, item.end) for item in one.media)
        groups[shown].append((one.id, wording(one.question, one.options)))
    near: list[tuple[str, str]] = []
    for group in groups.values():
        if len(group) > 1:
            written = [text for _, text in group]
            pairs = near_duplicates(written, written, ALIKE)  # each is one of itself at least
            near += [(group[p.train][0], group[p.test][0]) for p in pairs if p.train != p.test]
    return Duplicates(same=same, near=near, wordings=len(texts), compared=texts.total())
