"""Find references to media in texts, so that no question is asked without its media."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.naming import ending_of, stem_of
from datamodules.sources.fields.row import shown_in

HEARD = "audio|sound|speech|music"
KIND = rf"image|img|picture|photo|{HEARD}|video|film|clip|vision"
MARK = re.compile(
    rf"<\|?({KIND})(?:[ _-]?(?:[0-9]{{1,2}}|here|pad|start|bos|token|placeholder|soft))*\|?>",
    re.IGNORECASE,
)
"""A placeholder of a medium in a text: "<audio>", "<image_1>", "<|image_pad|>", "<ImageHere>"."""

NAMED = re.compile(rf"<({KIND})>\s*([^<>]+?)\s*</\1>", re.IGNORECASE)
"""A file in a text, as in "<img>1.jpg</img>"."""

LINKED = re.compile(
    rf"!\[[^\]\n]{{0,200}}\]\(\s*([^)\s]+)"
    rf"|<(?:{KIND}|source)\s[^<>]{{0,200}}?\bsrc\s*=\s*['\"]?([^'\"\s>]+)",
    re.IGNORECASE,
)
"""A file in Markdown or HTML: "![what](1.jpg)", "<img src='1.jpg'>"."""

TAG = re.compile(r"<(image|video|audio)>\n?")
"""The media placeholders of ms-swift, LLaMA-Factory, LLaVA and verl."""


def without_tags(question: str, media: Sequence[Mapping[str, object]]) -> str:
    """Strip media tags from a question with so many media, or refuse one with more tags."""
    tags = TAG.findall(question)
    if len(tags) > len(media):
        raise _lost(f"the question has {len(tags)} tags for {len(media)} media")
    _refuse_other(tags, {str(one.get("modality")) for one in media})
    return TAG.sub("", question).strip()


def refuse_lost_media(row: Mapping[str, object]) -> None:
    """Raise a `RowError` if a question of our own format refers to a medium that it does not
    have."""
    question, shown = row.get("question"), shown_in([row])
    if not isinstance(question, str) or not {"<", "["} & {*question}:
        return
    for file in _files(question):
        if stem_of(file) not in shown.stems:
            raise _lost(f"the question names {file[:80]!r} in its text")
    _refuse_other([mark[1].lower() for mark in MARK.finditer(question)], shown.kinds)


def _files(question: str) -> Iterator[str]:
    """List the files that a text names where a page would show or play them."""
    for named in NAMED.finditer(question):
        if ending_of(named[2]) is not None:
            yield named[2]
    for linked in LINKED.finditer(question):
        yield linked[1] or linked[2]


def _refuse_other(marks: Sequence[str], kinds: Collection[str]) -> None:
    """Raise a `RowError` for a placeholder of an image or audio without its medium."""
    for mark in marks:
        fitting = {"audio"} if mark in HEARD.split("|") else {"image"}
        if fitting.union({"video"}).isdisjoint(kinds):
            raise _lost(f"the question has a place for its {mark} in its text, and shows none")


def _lost(what: str) -> RowError:
    return RowError(
        "bad_media",
        f"{what}, but no question is asked without a medium that it is about: name the media in "
        "columns (docs/data.md), or take the tags out of the text.",
    )
