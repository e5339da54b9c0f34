"""What the name of a field, or its value, says that it holds: a medium, options, an answer."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, final

from configs.foreign import json_of
from datamodules.sample import Modality
from datamodules.sources.printed import joined, python_of, spaced

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
    "recording wav mp3 flac mp4 png jpg jpeg media medium multimedia file filename "
    "filepath path byte attachment track screenshot",
    "a segment": "start begin stop end from to offset onset segment span timestamp interval trim "
    "range window finish until seek",
    "options": "option opt choice candidate distractor alternative",
    "a label of quality": "label chosen rejected reject score reward preference preferred rating "
    "margin correct correctness incorrect",
    "a second answer": "answer ans solution gold golden gt target response output truth reference "
    "completion",
    "a part of what is said": "tool function",
    "a text to be read": "context passage hint premise paragraph article story scenario document",
}
"""Words in a field's name that say what it holds, in the singular."""

KNOWN: Mapping[Kind, frozenset[str]] = {kind: frozenset(w.split()) for kind, w in WORDS.items()}

NEARBY = frozenset(("id", "name", "title", "link", "url", "uri", "href", "youtube", "ytid"))
"""Words that end the name of a medium where a row shows none, and of a mere fact else."""

ADDRESSES = NEARBY - {"id", "name", "title"}

FACTS = (
    "type kind category class count number total duration length size width height resolution "
    "fps rate language lang domain topic difficulty level source dataset license version date "
    "model token author creator genre quality format style split task subject modality codec "
    "bitrate platform year index idx uid uuid tag keyword comment note created updated id "
    "ability at by caption transcript transcription description"
)
ABOUT = frozenset(FACTS.split())
"""Words that end the name of a mere fact, alone or about something as in `audio_type`."""

SAID: Mapping[str, Modality] = {
    **dict.fromkeys(("audio", "sound", "speech", "voice", "recording"), "audio"),
    **dict.fromkeys(("wav", "mp3", "flac"), "audio"),
    **dict.fromkeys(("image", "img", "picture", "pic", "photo", "screenshot", "frame"), "image"),
    **dict.fromkeys(("png", "jpg", "jpeg"), "image"),
    **dict.fromkeys(("video", "film", "movie", "mp4"), "video"),
}
"""Words that say of which kind a medium is."""

FILES: Mapping[Modality, str] = {
    "audio": "wav flac ogg oga opus mp3 m4a aac ac3 aif aiff au caf w64 wma amr",
    "image": "png jpg jpeg webp bmp gif tif tiff",
    "video": "mp4 m4v mkv webm avi mov mpg mpeg ts flv wmv ogv 3gp asf",
}
ENDINGS: Mapping[str, Modality] = {
    ending: kind for kind, endings in FILES.items() for ending in endings.split()
}
NAMED = re.compile(rf"\.({'|'.join(ENDINGS)})(?:[?#]\S*)?$", re.IGNORECASE)
OTHER_FILE = re.compile(r"\.(jsonl?|csv|tsv|parquet|arrow|txt|md|py|ya?ml|gz|zip|tar|srt|vtt)$")
COUNTS = ("n", "num", "number", "count", "total")
SENTENCE = re.compile(r"[.!?;:]\s")
SENTENCE_WORDS = 8
FACT_WORDS = 3
"""Of what may be a text to be read, so few are a fact, as in "context: indoors"."""

LONGEST_NAME = 1_000

LETTER_NAME = re.compile(r"([A-J]|[a-j])[.):]?")
ONE_TIME = r"(?:(?:[0-9]{1,3}:)?[0-9]{1,3}:[0-9]{1,2}(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)? ?s?)"
BETWEEN = r"\s*(?:[-–~,;]|to)\s*"
TIME = re.compile(rf"(?![0-9]{{4}}-[0-9]{{2}}\b){ONE_TIME}(?:{BETWEEN}{ONE_TIME})?")
TIMES = re.compile(rf"{ONE_TIME}{BETWEEN}{ONE_TIME}")
MOMENTS = frozenset(("time", "moment", "cut", "grounding", "temporal", "period", "slice"))
"""Words of a segment where the value is two times, and else of a fact."""

LATEST = 1e9
"""Seconds from which on a number is a date."""

LONGEST_LIST = 20_000
"""Characters of a text that is read as a list: nesting costs memory out of proportion."""


@final
@dataclass(frozen=True, kw_only=True)
class Shown:
    """The media of a row that were read."""

    kinds: frozenset[str] = frozenset()
    stems: frozenset[str] = frozenset()
    """Names of their files without folder and ending."""


def held_in(value: object) -> object:
    """Read what a text holds in JSON or in Python, a list or an object; else the value itself."""
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith(("[", "{")) and len(text) <= LONGEST_LIST:
        for read in (json_of, spaced, python_of):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                found: object = read(text)
                if isinstance(found, list | dict) and not joined(text, found):
                    return found
    return value


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """Take a name apart at marks, digits and capitals: `audioPaths2` is audio and path."""
    if name.lower() in ("multi_modal_data", "mm_data", "multimodal_data"):
        return ("media",)
    parts = re.findall(r"mp[34]|[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return tuple(_singular(part.lower()) for part in parts)


def _singular(word: str) -> str:
    return word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word


def is_fact(name: str) -> bool:
    """Tell whether a field is by its name no more than a fact about a question."""
    words = words_of(name)
    return bool(words) and words[-1] in ABOUT


def ending_of(text: str) -> Modality | None:
    """Tell what a file is by its ending; None for a text that names no medium.

    Prose that ends in the name of a file names none: it has lines, or sentences and many words.
    """
    text = text.strip()
    found = NAMED.search(text) if len(text) <= LONGEST_NAME and "\n" not in text else None
    if found is None:
        return None
    if SENTENCE.search(text) and len(text.split()) >= SENTENCE_WORDS:
        return None
    return ENDINGS[found[1].lower()]


def media_in(value: object) -> Iterator[str]:
    """List the files of sound, pictures or film that a value names, however deep; `""` is bytes."""
    if isinstance(value, bytes | bytearray) and value:
        yield ""
    elif isinstance(value, str):
        if ending_of(value) is not None:
            yield value.strip()
        elif isinstance(held := held_in(value), list | dict):
            yield from media_in(held)
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from media_in(item)


def stem_of(path: str) -> str:
    """Name a file without its folder and ending."""
    name = path.split("?")[0].replace("\\", "/").rstrip("/").rpartition("/")[2]
    return name.rpartition(".")[0] or name


def looks_like(name: str, value: object, shown: Shown | None = None) -> Kind | None:
    """Say what a field is that an answer may depend on, by the words of its name or by its value.

    Files that the row shows are no second medium. A field within a field counts as much as one by
    itself.
    """
    shown = shown or Shown()
    if any(not file or stem_of(file) not in shown.stems for file in media_in(value)):
        return "a medium"
    if isinstance(value, str) and isinstance(held := held_in(value), dict):
        value = held
    return _by_name(name, value, shown) or _within(value, shown)


def _within(value: object, shown: Shown) -> Kind | None:
    items = value if isinstance(value, list | tuple) else [value]
    objects = [item for item in items if isinstance(item, Mapping)]
    found = (
        looks_like(str(name), inner, shown)
        for one in objects
        for name, inner in one.items()
        if not is_empty(inner) and (isinstance(inner, str) or not LETTER_NAME.fullmatch(str(name)))
    )
    return next(filter(None, found), None)


def _by_name(name: str, value: object, shown: Shown) -> Kind | None:
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
            return None if head in ("name", "title") and not said & SAID.keys() else "a medium"
        if head not in ABOUT and not _other(value):
            return "a medium"
    if head in ABOUT - {"id", "index", "idx"}:
        return None
    if said & MOMENTS and _is_pair(value):
        return "a segment"
    plain = isinstance(value, bool | int | float)
    for kind, known in KNOWN.items():
        if kind == "a medium" or said.isdisjoint(known):
            continue
        if kind == "a segment" and not is_time(value):
            continue
        if kind == "options" and plain and words[0] in COUNTS:
            continue
        if kind == "a part of what is said" and plain:
            continue
        if kind == "a text to be read" and not (head in (*known, "text") and _is_long(value)):
            continue
        return kind
    return None


def _is_long(value: object) -> bool:
    """Tell whether a value holds more words than a fact has."""
    if isinstance(value, Mapping | list | tuple):
        return any(map(_is_long, value.values() if isinstance(value, Mapping) else value))
    return isinstance(value, str) and len(value.split()) > FACT_WORDS


def is_prose(value: object) -> bool:
    """Know a text that is no fact to group questions by: sentences, or lines."""
    text = value.strip() if isinstance(value, str) else ""
    return "\n" in text or len(text.split()) >= SENTENCE_WORDS


def _is_shown(head: str, said: frozenset[str], shown: Shown) -> bool:
    """Tell whether a row shows what an id, a title or an address is of.

    The id of a film is that of its sound as well, which many sets show alone.
    """
    kinds = set() if head in ("id", "name", "title") else {SAID[one] for one in said & SAID.keys()}
    return kinds <= shown.kinds if kinds else bool(shown.kinds)


def _other(value: object) -> bool:
    """Know what is no medium whatever it is called: numbers, and files of another kind."""
    if isinstance(value, str):
        return OTHER_FILE.search(value.strip().lower()) is not None
    return isinstance(value, bool | int | float)


def is_time(value: object) -> bool:
    """Tell whether a value is a time in seconds or on a clock, or holds some."""
    if isinstance(value, str):
        held = held_in(value)
        return is_time(held) if held is not value else TIME.fullmatch(value.strip()) is not None
    if isinstance(value, Mapping):
        return any(map(is_time, value.values()))
    if isinstance(value, list | tuple):
        return any(map(is_time, value))
    return isinstance(value, int | float) and not isinstance(value, bool) and value < LATEST


def _is_pair(value: object) -> bool:
    """Tell whether a value is two times, the second of which is later where they are numbers."""
    held = held_in(value)
    if isinstance(held, list) and len(held) == 2 and all(isinstance(x, int | float) for x in held):
        return bool(held[0] < held[1])
    return isinstance(held, str) and TIMES.fullmatch(held.strip()) is not None


def is_empty(value: object) -> bool:
    """Know a cell without content: whatever it is called, it holds nothing."""
    if isinstance(value, str):
        return value.strip() in ("", "[]", "{}")
    return value is None or value == [] or value == {} or value != value
