"""A format of one's own: how the rows of clips.jsonl become questions."""

from collections.abc import Mapping

from datamodules.sources.adapter import Place


def rows(row: Mapping[str, object], place: Place) -> list[dict[str, object]]:
    """Ask for the tempo of a clip; a row may become several questions, or none."""
    clip = {"modality": "audio", "path": place.path(str(row["clip"]))}
    question = {
        "question": "How many beats does this clip have per minute?",
        "answer": row["bpm"],
        "answer_type": "tempo",
        "media": [clip],
        "facts": {"loudness": row["decibels"]},
    }
    return [question]
