"""Draft the questions of each split of the digits set, and write its manifest."""

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from datamodules.digits.evidence_text import describe_evidence
from datamodules.digits.media_pool import MediaPool
from datamodules.digits.open_questions import both_digits, describe, larger, number, told
from datamodules.digits.question_draft import Maker, QuestionDraft
from datamodules.digits.questions import (
    add,
    compare,
    either,
    hear,
    pair,
    same,
    see,
    shortcut,
    sound,
    text,
)
from datamodules.digits.video_questions import (
    media_options,
    order,
    video_heard,
    video_seen,
    video_sound,
    video_sum,
)
from runtime.writing import write_text

SHARES: dict[Maker, float] = {
    text: 10,
    shortcut: 14,
    see: 14,
    hear: 14,
    either: 8,
    pair: 9,
    add: 3,
    compare: 3,
    same: 3,
    order: 4,
    video_seen: 1,
    video_heard: 1,
    video_sound: 0.5,
    video_sum: 1.5,
    media_options: 4,
    sound: 5,
    number: 3,
    both_digits: 1,
    larger: 1,
}
"""How often each kind of question is asked, in percent."""

UNDESCRIBED = (text, shortcut, media_options)
"""Kinds of questions that no description of their media helps to answer."""

SHARES_OF: dict[str, dict[Maker, float]] = {
    # Mostly what is seen and heard, and how to say it; little of how to put it together.
    "warm": {**SHARES, text: 10, told: 3, shortcut: 6, hear: 16, pair: 16, describe: 12},
    "test_human": {hear: 35, pair: 30, same: 20, either: 15},
    "annotated": {maker: share for maker, share in SHARES.items() if maker not in UNDESCRIBED},
}
"""Where a split differs from SHARES."""

COMPLETED = ("warm", "annotated")
"""Splits for imitation, whose rows have completions."""


def ask(media: MediaPool, split: str, total: int, rng: random.Random) -> list[QuestionDraft]:
    """Draft `total` questions, each kind as often as its share says, in random order."""
    shares = SHARES_OF.get(split, SHARES)
    makers, weights = list(shares), list(shares.values())
    counts = [int(total * weight / sum(weights)) for weight in weights]
    asked = [maker for maker, count in zip(makers, counts, strict=True) for _ in range(count)]
    asked += rng.choices(makers, weights, k=total - len(asked))
    rng.shuffle(asked)
    drafts = [maker(media, rng) for maker in asked]
    return list(map(annotated, drafts)) if split == "annotated" else drafts


def annotated(draft: QuestionDraft) -> QuestionDraft:
    """Add a description of the evidence, and an answer that begins with it."""
    description = describe_evidence(draft)
    return replace(
        draft, description=description, completion=f"{description} <answer>{draft.answer}</answer>"
    )


def write_questions(root: Path, split: str, drafts: Iterable[QuestionDraft]) -> None:
    """Write the manifest of a split, and its ground truth in a file of its own."""
    (root / "truth").mkdir(exist_ok=True)
    manifest, truth = [], []
    for index, draft in enumerate(drafts):
        name = f"{split}-{draft.family}-{index:05d}"
        manifest.append(json.dumps(row(name, draft, completed=split in COMPLETED)) + "\n")
        known = {"id": name, "family": draft.family, "evidence": draft.evidence}
        truth.append(json.dumps(known) + "\n")
    write_text(root / f"{split}.jsonl", "".join(manifest))
    write_text(root / "truth" / f"{split}.jsonl", "".join(truth))


def row(name: str, draft: QuestionDraft, *, completed: bool) -> dict[str, object]:
    """Write a question as a row of a manifest, without default values.

    Args:
        completed: whether completions are included; they reveal the evidence, so only splits for
            imitation have them.
    """
    role = {} if draft.role == "context" else {"role": draft.role}
    whole = {
        "id": name,
        "question": draft.question,
        "options": list(draft.options),
        "answer": draft.answer,
        "answer_type": draft.answer_type,
        "media": [{"modality": item.modality, "path": item.path, **role} for item in draft.items],
        "completion": draft.completion if completed else "",
        "evidence": draft.description,
        "source": "digits",
        "asset_id": draft.items[0].asset if draft.items else f"text-{name}",
    }
    return {key: value for key, value in whole.items() if value or key == "media"}
