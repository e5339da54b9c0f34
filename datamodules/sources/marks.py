"""Find where a text speaks of a medium, so that no question is asked without its own."""

import re
from collections.abc import Mapping
from typing import cast

from datamodules.sources.answers import RowError
from datamodules.sources.fields import shown_in
from datamodules.sources.hints import ending_of, stem_of

KIND = "image|img|picture|photo|audio|sound|speech|music|video|film|clip|vision"
MARK = re.compile(
    rf"<\|?(?:{KIND})(?:[ _-]?(?:[0-9]{{1,2}}|here|pad|start|bos|token|placeholder|soft))*\|?>",
    re.IGNORECASE,
)
"""A place for a medium in a text: "<audio>", "<image_1>", "<|image_pad|>", "<ImageHere>"."""

NAMED = re.compile(rf"<({KIND})>\s*([^<>]+?)\s*</\1>", re.IGNORECASE)
"""A file in a text, as in "<img>1.jpg</img>"."""

TAG = re.compile(r"<(image|video|audio)>\n?")
"""The place of a medium in ms-swift, LLaMA-Factory, LLaVA and verl."""


def without_tags(question: str, media: int) -> str:
    """Leave the tags of media out of a question that shows so many, or refuse one that has more."""
    tags = len(TAG.findall(question))
    if tags > media:
        raise _lost(f"the question has {tags} tags for {media} media")
    return TAG.sub("", question).strip()


def refuse_lost_media(row: Mapping[str, object]) -> None:
    """Raise a `RowError` if a question of our own form speaks of a medium that it does not show."""
    question, shown = row.get("question"), shown_in([row])
    if not isinstance(question, str):
        return
    for _, file in cast(list[tuple[str, str]], NAMED.findall(question)):
        if ending_of(file) is not None and stem_of(file) not in shown.stems:
            raise _lost(f"the question names {file[:80]!r} in its text")
    if not shown.kinds and (mark := MARK.search(question)) is not None:
        raise _lost(f"the question has {mark[0]!r} in its text, and no media")


def _lost(what: str) -> RowError:
    return RowError(
        "bad_media",
        f"{what}, but no question is asked without a medium that it is about: name the media in "
        "columns (docs/data.md), or take the tags out of the text.",
    )
