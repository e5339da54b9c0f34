"""What a condition withholds of a question's media, and where withholding means nothing."""

import functools
from collections.abc import Iterable, Mapping

from configs.ablation import LEFT, Condition, Part, Replacement
from datamodules.sample import Media, Modality, Role

PARTS: Mapping[Modality, frozenset[Part]] = {
    "audio": frozenset({"audio"}),
    "image": frozenset({"visual"}),
    "video": frozenset({"audio", "visual"}),
}
"""The parts that each kind of file may have; a video may turn out to have no audio track."""


def withholds(media: Iterable[Media], condition: Condition, replacement: Replacement) -> bool:
    """Tell whether a condition changes anything of a question; `full` is asked of all."""
    if condition == "full" or "text" not in LEFT[condition]:
        return True
    return any(affects(condition, replacement, item.modality) for item in media)


def why_undefined(condition: Condition, replacement: Replacement, media: Iterable[Media]) -> str:
    """Return why an ablation means nothing for a question with these media, or `""`."""
    return _why(condition, replacement, tuple([(item.modality, item.role) for item in media]))


@functools.cache  # there are few combinations, and many questions
def _why(
    condition: Condition, replacement: Replacement, kinds: tuple[tuple[Modality, Role], ...]
) -> str:
    media = [Media(modality=modality, path="", role=role) for modality, role in kinds]
    if not withholds(media, condition, replacement):
        return f"{condition} withholds nothing from it"
    if any(
        item.role == "option" and affects(condition, replacement, item.modality) for item in media
    ):
        return f"{condition} withholds options"
    return ""


def affects(condition: Condition, replacement: Replacement, modality: Modality) -> bool:
    """Tell whether a condition can change media of a kind.

    `shuffled` takes only the order of frames; all else takes everything withheld.
    """
    withheld = PARTS[modality] - LEFT[condition]
    if replacement == "shuffled":
        return modality == "video" and "visual" in withheld
    return bool(withheld)
