"""Read the turns of a chat: role, text, media, and whether it is imitated."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast, final, get_args

from datamodules.sample import Modality
from datamodules.sources.adapter import Place, Row
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import FILE_KEYS, absent
from datamodules.sources.fields.marks import TAG
from datamodules.sources.fields.media_columns import medium_of, named_media
from datamodules.sources.fields.row import Fields, fields_of, whole
from datamodules.sources.fields.segments import within

Speaker = Literal["system", "user", "assistant"]

SPEAKERS: dict[str, Speaker] = {
    **{"system": "system", "developer": "system", "user": "user", "human": "user"},
    **{"assistant": "assistant", "gpt": "assistant", "model": "assistant"},
}

WEIGHTS = ("loss", "weight", "loss_weight", "loss_scale", "loss_mask", "train", "trainable")
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
MASKS = ("mask", "masked")
UNLEARNED = (False, 0, "false", "False", "0")
PLACEHOLDER = re.compile(r"<(?:ref-object|bbox|cot-process)>")
KINDS: tuple[Modality, ...] = get_args(Modality)


@final
@dataclass(frozen=True, kw_only=True)
class Turn:
    speaker: Speaker
    text: str
    """Without its tags."""

    media: tuple[dict[str, object], ...]
    learned: bool
    """Whether it is imitated if the assistant says it."""


def turns_of(row: Fields, given: Sequence[object], place: Place, *, tags: bool) -> list[Turn]:
    """Read the turns, giving each tag the next medium of its kind.

    Where a kind has fewer tags than media, its first ones come with the first turn of the user, as
    ms-swift puts missing tags, and TRL those of a row without any.
    """
    waiting: dict[Modality, list[object]] = {kind: [] for kind in KINDS}
    for kind, item in named_media(row):
        waiting[kind].append(item)
    said = [_object(turn) for turn in given]
    missing = _missing(said, waiting) if tags else {}
    used = dict.fromkeys(KINDS, 0)
    turns: list[Turn] = []
    ahead: list[dict[str, object]] = []
    first: int | None = None
    for at, fields in enumerate(said):
        if first is None and _speaker(fields) == "user":
            first = at
            for kind, count in missing.items():
                taken = waiting[kind][used[kind] : used[kind] + count]
                ahead += [medium_of(item, place, kind) for item in taken]
                used[kind] += count
        turns.append(_turn(fields, waiting, used, place, tags=tags))
    named = [item for turn in turns for item in turn.media]
    for kind in KINDS:
        if not used[kind]:  # what a part names as well is one medium
            whole = [medium_of(item, place, kind) for item in waiting[kind]]
            ahead += [item for item in whole if item not in named]
        elif used[kind] != len(waiting[kind]):
            raise RowError(
                "bad_media",
                f"{used[kind]} tags <{kind}> for {len(waiting[kind])} media, but each tag takes "
                "one, in the same order: add media, or remove tags.",
            )
    if first is not None:
        turns[first] = replace(turns[first], media=(*ahead, *turns[first].media))
    return turns


def _missing(
    said: Sequence[Fields], waiting: Mapping[Modality, list[object]]
) -> dict[Modality, int]:
    """Count the missing tags of kinds that have some, where all turns are plain text.

    Typed parts list their media themselves.
    """
    contents = [_content(fields) for fields in said]
    if any(isinstance(content, list) for content in contents):
        return {}
    found = [tag for content in contents for tag in TAG.findall(str(content))]
    counts = {kind: len(waiting[kind]) - found.count(kind) for kind in KINDS if kind in found}
    return {kind: count for kind, count in counts.items() if count > 0}


def _content(fields: Fields) -> object:
    return either(fields, "content", "value")


def _object(turn: object) -> Fields:
    if not isinstance(turn, Mapping):
        raise RowError(
            "malformed",
            f"a turn is {str(turn)[:80]!r}, but is an object with who says what: mend the row.",
        )
    return fields_of(turn)


def _turn(
    fields: Fields,
    waiting: Mapping[Modality, list[object]],
    used: dict[Modality, int],
    place: Place,
    *,
    tags: bool,
) -> Turn:
    """Read one turn, counting in `used` the media that its tags take from those `waiting`."""
    speaker = _speaker(fields)
    content = _content(fields)
    if any(not absent(fields.peek(name)) for name in THOUGHTS):
        raise RowError(
            "unread_field",
            f"a turn has {' or '.join(THOUGHTS)} beside what is said, but only what is said is "
            "read: put it in front, in <think></think>, or drop it.",
        )
    texts, media = [], []
    for part in content if isinstance(content, list) else [content]:
        text, kind, own = _part(part)
        kinds = [kind] if kind else []
        if PLACEHOLDER.search(text):
            raise RowError(
                "malformed",
                f"{text[:80]!r} has a place for an object or a box, which are not read: write them "
                "out, or drop the row.",
            )
        texts.append(TAG.sub("", text))
        if tags and not kind:
            kinds = [cast(Modality, tag) for tag in TAG.findall(text)]  # the only tags
        for one in kinds:
            if own is not None and not absent(file_in(own)):
                media.append(medium_of(own, place, one))
                continue
            used[one] += 1
            if used[one] <= len(waiting[one]):  # else `turns_of` says how many are missing
                shown = medium_of(waiting[one][used[one] - 1], place, one)
                media.append(shown if own is None else within(own, shown))
    learned = all(fields.get(name) not in UNLEARNED for name in WEIGHTS)
    learned &= all(fields.get(name) in (None, *UNLEARNED) for name in MASKS)
    text = "".join(texts).strip()
    return Turn(speaker=speaker, text=text, media=tuple(media), learned=learned)


def _speaker(fields: Fields) -> Speaker:
    said = either(fields, "role", "from")
    speaker = SPEAKERS.get(str(said).lower())
    if speaker is None:
        raise RowError(
            "malformed",
            f"a turn is by {str(said)[:40]!r}, but says something as one of "
            f"{', '.join(SPEAKERS)}: mend the row.",
        )
    return speaker


def _part(part: object) -> tuple[str, Modality | None, Fields | None]:
    """Read a typed part: a text, or a medium of a kind with what names it and its segment."""
    if isinstance(part, str):
        return part, None, None
    fields = fields_of(part) if isinstance(part, Mapping) else Fields({})
    said = fields.get("type")
    for kind in KINDS:
        if said in (kind, f"{kind}_url", f"input_{kind}"):
            return "", kind, fields
    text = either(fields, "text", "value")
    if said not in (None, "text", "input_text") or not isinstance(text, str):
        raise RowError(
            "malformed",
            f"a part of a turn is {str(part)[:80]!r}, but is a text or a medium: mend the row.",
        )
    return text, None, None


def file_in(part: Fields) -> object:
    """Return the file that a typed part names itself, if any."""
    held = (part.peek(key) for key in (*FILE_KEYS, "bytes"))
    return next((value for value in held if not absent(value)), None)


def exchange(turns: Sequence[Turn], *, answered: bool) -> tuple[list[Turn], str]:
    """Split a chat into earlier turns, the last question, and its completion."""
    said = [at for at, turn in enumerate(turns) if turn.speaker == "assistant" and turn.learned]
    at = said[-1] if said else len(turns)
    if answered and any(turn.speaker == "user" for turn in turns[at:]):
        at = len(turns)
    prompt = list(turns[:at])
    if at < len(turns) and prompt and prompt[-1].speaker == "assistant" and prompt[-1].text:
        raise RowError(
            "malformed",
            f"the assistant says {prompt[-1].text[:40]!r}, and then {turns[at].text[:40]!r}, but "
            "one turn answers a question: make them one.",
        )
    while prompt and prompt[-1].speaker == "assistant":
        prompt.pop()
    if not prompt or prompt[-1].speaker != "user":
        raise RowError(
            "missing_question",
            f"nobody asks in these {len(turns)} turns, but a question is what a user says last: "
            "mend the row.",
        )
    if at == len(turns) and not answered:
        raise RowError(
            "missing_answer",
            "the chat has no turn of the assistant to learn from and no solution, but one of them "
            "is the answer: give one.",
        )
    if at < len(turns) and turns[at].media:
        raise RowError(
            "bad_media",
            f"the assistant shows {turns[at].media[0]['path']!r}, but only says something in "
            "answer: move its tag to what is asked, or drop the row.",
        )
    return prompt, turns[at].text if at < len(turns) else ""


def either(row: Row, *names: str) -> object:
    """Read the one of these fields that is filled; a `RowError` if two say different things."""
    fields = fields_of(row)
    filled = [name for name in names if not absent(fields.held(name))]
    if any(whole(fields.held(name)) != whole(fields.held(filled[0])) for name in filled[1:]):
        raise RowError(
            "malformed",
            f"{' and '.join(filled)} both hold something, and not the same, but one of them is "
            "read: drop the other.",
        )
    return fields.held((filled or [name for name in names if name in fields] or names)[0])


def list_of(value: object) -> list[object]:
    if not isinstance(value, list):
        raise RowError(
            "malformed", f"{str(value)[:80]!r} is no list, but turns and media are: mend the row."
        )
    return value
