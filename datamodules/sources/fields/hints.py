"""Guess what a field holds by its name or value: a medium, options, an answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, final

from datamodules.sample import Modality
from datamodules.sources.fields.naming import (
    SENTENCE_WORDS,
    media_in,
    speaks_of_another,
    stem_of,
)
from datamodules.sources.fields.printed import held_in
from datamodules.sources.fields.times import is_pair, is_span, is_time

Kind = Literal[
    "a medium",
    "a segment",
    "options",
    "a label of quality",
    "a second answer",
    "a part of what is said",
    "a text to be read",
]

WORDS: Mapping[Kind, str] = {
    "a medium": "audio image img picture pic photo video film movie clip frame sound speech voice "
    "recording wav mp3 flac ogg opus m4a mp4 mkv webm png jpg jpeg vid yt media medium multimedia "
    "file filename fname filepath path byte attachment track screenshot waveform spectrogram pixel",
    "a segment": "start begin stop end from to offset onset segment span timestamp interval trim "
    "range window finish until seek t st ed ss tstart tend tspan",
    "options": "option opt choice candidate alternative distractor distracter foil decoy lure "
    "confounder filler negative neg wrong false",
    "a label of quality": "label chosen rejected reject score reward preference preferred rating "
    "margin desirable hallucination hallucinated correct correctness incorrect winner vote upvote "
    "downvote thumb helpfulness advantage",
    "a second answer": "answer ans solution gold golden gt target response output truth reference "
    "completion alias synonym expected reply corrected correction",
    "a part of what is said": "tool function",
    "a text to be read": "context passage hint premise hypothesis paragraph article story scenario "
    "situation document dialogue dialog conversation poem email instruction preamble",
}
"""Words of field names by what the field holds, in the singular."""

KNOWN: Mapping[Kind, frozenset[str]] = {kind: frozenset(w.split()) for kind, w in WORDS.items()}

NEARBY = frozenset(("id", "name", "title", "link", "url", "uri", "href", "youtube", "ytid"))
"""Words that end the name of a medium where a row shows none, and of a mere fact otherwise."""

ADDRESSES = NEARBY - {"id", "name", "title"}

FACTS = (
    "type kind category class count number total duration length size width height resolution "
    "fps rate language lang domain topic difficulty level source dataset license version date "
    "model token author creator genre quality format style split task subject modality codec "
    "bitrate platform year index idx uid uuid tag keyword comment note created updated id "
    "ability at by caption transcript transcription description hash md5 sha checksum"
)
ABOUT = frozenset(FACTS.split())
"""Words that end the name of a mere fact, alone or about something as in `audio_type`."""

SAID: Mapping[str, Modality] = {
    **dict.fromkeys(("audio", "sound", "speech", "voice", "recording"), "audio"),
    **dict.fromkeys(("wav", "mp3", "flac", "ogg", "opus", "m4a"), "audio"),
    **dict.fromkeys(("image", "img", "picture", "pic", "photo", "screenshot", "frame"), "image"),
    **dict.fromkeys(("png", "jpg", "jpeg"), "image"),
    **dict.fromkeys(("video", "film", "movie", "vid", "mp4", "mkv", "webm"), "video"),
}
"""Words that say of which kind a medium is."""

PRAISE = "good valid verified accepted acceptable passed pass keep usable answerable approved"
BLAME = "bad invalid wrong discard noisy error broken flagged deleted blocked unsafe toxic"
JUDGMENT = "status review decision verdict judgement judgment outcome quality grade feedback"
REFUSAL = "bad poor wrong incorrect reject rejected fail failed invalid negative discard discarded"
GOOD, BAD, JUDGED, REFUSED = (
    frozenset(words.split()) for words in (f"{PRAISE} weight win", BLAME, JUDGMENT, REFUSAL)
)
"""Words by which a field marks its row as good, bad or judged."""

NO = ("false", "no", "0", "0.0")

TELLING = "explanation rationale reason reasoning thought thinking cot note comment analysis"
EXPLAINED = frozenset(TELLING.split())
"""Words of fields whose prose explains the answer, and is no context of the question."""

DENIED = frozenset(("negative", "neg", "wrong", "false"))
"""Words of wrong options, which also occur as statements of fact."""

COUNTS = ("n", "num", "number", "count", "total")
OTHER_FILE = re.compile(r"\.(jsonl?|csv|tsv|parquet|arrow|txt|md|py|ya?ml|gz|zip|tar|srt|vtt)$")
FACT_WORDS = 3
"""Number of words up to which a possible context is a mere fact, as in "context: indoors"."""

LETTER_NAME = re.compile(r"([A-J]|[a-j])[.):]?")
MOMENT = (
    "time moment cut grounding temporal period slice sec second t ts boundary bound crop chunk "
    "part duration length position"
)
MOMENTS = frozenset(MOMENT.split())
"""Words of a segment where the value is two times, and else of a fact."""


@final
@dataclass(frozen=True, kw_only=True)
class ShownMedia:
    """The media of a row that were read."""

    kinds: frozenset[str] = frozenset()
    stems: frozenset[str] = frozenset()
    """Names of their files without folder and ending."""


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """Take a name apart at marks, digits and capitals: `audioPaths2` is audio and path."""
    if name.lower() in ("multi_modal_data", "mm_data", "multimodal_data"):
        return ("media",)
    parts = re.findall(r"mp[34]|[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return tuple(_singular(part.lower()) for part in parts)


def _singular(word: str) -> str:
    if len(word) < 4 or word.endswith(("ss", "us", "is", "ias")):
        return word
    return word.removesuffix("es") if word.endswith("iases") else word.removesuffix("s")


def is_fact(name: str) -> bool:
    """Tell whether a field is by its name a mere fact about a question."""
    words = words_of(name)
    return bool(words) and words[-1] in ABOUT


def looks_like(name: str, value: object, shown: ShownMedia | None = None) -> Kind | None:
    """Return what a field holds on which an answer may depend, by its name or value.

    Files that the row shows are no second medium. Nested fields count as much as others.
    """
    shown = shown or ShownMedia()
    if any(not file or stem_of(file) not in shown.stems for file in media_in(value)):
        return "a medium"
    if not shown.kinds and speaks_of_another(value):
        return "a medium"
    if isinstance(value, str) and isinstance(held := held_in(value), dict):
        value = held
    found = _by_name(name, value, shown) or _within(value, shown)
    if found is None and not shown.kinds and is_prose(value):
        return None if EXPLAINED.intersection(words_of(name)) else "a text to be read"
    return found


def _within(value: object, shown: ShownMedia) -> Kind | None:
    items = value if isinstance(value, list | tuple) else [value]
    objects = [item for item in items if isinstance(item, Mapping)]
    found = (
        looks_like(str(name), inner, shown)
        for one in objects
        for name, inner in one.items()
        if not is_empty(inner) and (isinstance(inner, str) or not LETTER_NAME.fullmatch(str(name)))
    )
    return next(filter(None, found), None)


def _by_name(name: str, value: object, shown: ShownMedia) -> Kind | None:
    words = words_of(name)
    if LETTER_NAME.fullmatch(name.strip()):
        return "options"
    if not words:
        return None
    head, said = words[-1], frozenset(words)
    if said & KNOWN["a medium"] or said & ADDRESSES:
        if head in NEARBY or said & ADDRESSES:
            if _is_shown(head, said, shown):
                return None
            other = head == "title" or (head == "name" and said.isdisjoint({*SAID, "file"}))
            return None if other else "a medium"
        if head not in ABOUT and not _other(value):
            return "a medium"
    timed = shown.kinds != {"image"}
    if timed and (is_span(value) or (said & MOMENTS and is_pair(value))):
        return "a segment"
    if _is_bad(head, said, value):
        return "a label of quality"
    if head in ABOUT - {"id", "index", "idx"}:
        return None
    plain = isinstance(value, bool | int | float)
    for kind, known in KNOWN.items():
        if kind == "a medium" or said.isdisjoint(known):
            continue
        if kind == "a segment" and not is_time(value):
            continue
        if said & known <= DENIED and isinstance(value, bool):
            continue
        if kind == "options" and plain and words[0] in COUNTS:
            continue
        if kind == "a part of what is said" and plain:
            continue
        if kind == "a text to be read" and not (head in (*known, "text") and _is_long(value)):
            continue
        return kind
    return None


def _is_bad(head: str, said: frozenset[str], value: object) -> bool:
    """Tell whether a field marks its row as bad."""
    text = str(value).strip().lower()
    if head in GOOD:
        return text in NO
    if head in BAD:
        return text in ("true", "yes", "1", "1.0")
    return head in JUDGED and said.isdisjoint(SAID) and text in REFUSED


def _is_long(value: object) -> bool:
    """Tell whether a value holds more words than a fact has."""
    if isinstance(value, Mapping | list | tuple):
        return any(map(_is_long, value.values() if isinstance(value, Mapping) else value))
    return isinstance(value, str) and len(value.split()) > FACT_WORDS


def is_prose(value: object) -> bool:
    """Tell whether a value is prose, not a category: sentences, or lines."""
    text = value.strip() if isinstance(value, str) else ""
    return "\n" in text or len(text.split()) >= SENTENCE_WORDS


def _is_shown(head: str, said: frozenset[str], shown: ShownMedia) -> bool:
    """Tell whether a row shows the medium that an id, a title or an address refers to.

    The id of a video is that of its audio as well, which many sets show alone.
    """
    kinds = set() if head in ("id", "name", "title") else {SAID[one] for one in said & SAID.keys()}
    return kinds <= shown.kinds if kinds else bool(shown.kinds)


def _other(value: object) -> bool:
    """Tell whether a value is no medium whatever its name: numbers, and files of other kinds."""
    if isinstance(value, str):
        return OTHER_FILE.search(value.strip().lower()) is not None
    return isinstance(value, bool | int | float)


def is_empty(value: object) -> bool:
    """Tell whether a cell is empty."""
    if isinstance(value, str):
        return value.strip() in ("", "[]", "{}")
    return value is None or value == [] or value == {} or value != value
