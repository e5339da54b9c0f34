"""Read chats: ms-swift's, LLaMA-Factory's, LLaVA-Video's, alpaca's and verl's, and typed parts.

The last exchange of a chat is asked, and what was said before stands before it as text. Media come
before all text in our prompts, in the order of their tags; where in a text a tag stood is lost.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast, final, get_args

from datamodules.sample import Modality
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers import RowError, written
from datamodules.sources.asking import named, open_question, parts_of
from datamodules.sources.columns import FILE_KEYS, absent, facts, is_short, text_of
from datamodules.sources.fields import Fields, whole
from datamodules.sources.segments import in_segments, within
from datamodules.sources.shown import medium_of, named_media

Speaker = Literal["system", "user", "assistant"]

SPEAKERS: dict[str, Speaker] = {
    **{"system": "system", "developer": "system", "user": "user", "human": "user"},
    **{"assistant": "assistant", "gpt": "assistant", "model": "assistant"},
}

OWN = ("id", "source", "asset_id", "answer_type", "tolerance", "evidence", "facts")
"""Fields of our own manifest that a chat may have."""

WEIGHTS = ("loss", "weight", "loss_weight")
UNLEARNED = (False, 0, "false", "False", "0")
PLACEHOLDER = re.compile(r"<(?:ref-object|bbox|cot-process)>")
TAG = re.compile(r"<(image|video|audio)>\n?")
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


def chat(row: Row, place: Place) -> Iterator[Row]:
    """Read a chat with its media in lists beside it, or in typed parts of what is said.

    The last turn of the assistant that is to be learned is the completion. A `solution` or `answer`
    is what is scored; without one, it is what the completion says: in its tags, as the letter or
    the text of an option, as a number, as yes or no, or else word for word. Options are read from
    the lines of a question that begin with A., B., and so on, or behind one another in it.
    """
    fields = _fields(row)
    yield _question(fields, _list(either(fields, "messages", "conversations")), place)


def llava_video(row: Row, place: Place) -> Iterator[Row]:
    """Read LLaVA-Video, which marks the place of its film with the tag of an image, or not."""
    fields = _fields(row)
    found = _question(fields, _list(fields.held("conversations")), place, tags=False)
    yield {**found, "source": fields.get("data_source")}


def alpaca(row: Row, place: Place) -> Iterator[Row]:
    """Read an instruction, what it is about, and the output that is to be learned."""
    fields = _fields(row)
    parts = [text_of(fields, "instruction"), fields.get("input")]
    turns: list[object] = [
        {"role": speaker, "content": text}
        for pair in _list(fields.held("history") or [])
        for speaker, text in zip(("user", "assistant"), _list(pair), strict=False)
    ]
    asked = "\n".join(written(part) for part in parts if not absent(part))
    turns.append({"role": "user", "content": asked})
    turns.append({"role": "assistant", "content": text_of(fields, "output")})
    yield _question(fields, turns, place)


def verl(row: Row, place: Place) -> Iterator[Row]:
    """Read a prompt and the truth that its reward compares with."""
    fields = _fields(row)
    reward, extra = fields.held("reward_model"), fields.held("extra_info")
    truth = reward.get("ground_truth") if isinstance(reward, Mapping) else None
    if absent(truth):
        raise RowError(
            "missing_answer",
            f"reward_model is {str(reward)[:80]!r}, but its ground_truth is what is scored: give "
            "one.",
        )
    prompt = fields.held("prompt")
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else _list(prompt)
    told = facts(fields, "ability")
    if isinstance(extra, Mapping):
        told |= facts(extra, "split", "index")
    yield {
        **_question(fields, turns, place, solution=truth),
        "source": fields.get("data_source"),
        "facts": told,
    }


def _fields(row: Row) -> Fields:
    return row if isinstance(row, Fields) else Fields(row)


def _question(
    row: Fields,
    given: Sequence[object],
    place: Place,
    *,
    solution: object = None,
    tags: bool = True,
) -> dict[str, object]:
    """Ask what is asked last in some turns, with the media and the fields of a row.

    Args:
        solution: what is scored, of formats that have it elsewhere.
        tags: whether tags in what is said take a medium each.
    """
    if not absent(row.get("system")):
        given = [{"role": "system", "content": row["system"]}, *given]
    turns = _turns(row, given, place, tags=tags)
    if solution is None and not absent(found := either(row, "solution", "answer")):
        solution = found
    prompt, completion = _exchange(turns, answered=solution is not None)
    *earlier, last = prompt
    fields = asked(last.text, completion if solution is None else written(solution), completion)
    names = {"user": "User: ", "assistant": "Assistant: ", "system": ""}
    said = [f"{names[turn.speaker]}{turn.text}" for turn in earlier if turn.text]
    own = {name: row[name] for name in OWN if not absent(row.peek(name))}
    return {
        **fields,
        **own,
        "question": "\n\n".join([*said, str(fields["question"])]),
        "media": in_segments(row, [item for turn in prompt for item in turn.media]),
    }


def asked(text: str, given: str, completion: str) -> dict[str, object]:
    """Make a question of what is asked, what answers it, and what is said in answer.

    A completion that is no more than the answer to a choice, a number or yes or no is left out:
    the answer in its tags is imitated instead, as prompts ask for it.
    """
    parts = parts_of(text, given) if given.strip() else None
    if parts is None:
        return {"question": text, "answer": given, "completion": completion}
    question = open_question(parts)
    if parts.chosen is not None:
        bare = "<answer>" not in completion and named(completion.strip(), parts.options) is not None
        return {**question, "completion": "" if bare else completion}
    short = is_short(parts.answer) and completion.strip() == parts.answer
    return {**question, "completion": "" if short else completion}


def either(row: Row, *names: str) -> object:
    """Read the one of these fields that is filled; a `RowError` if two say different things."""
    fields = _fields(row)
    filled = [name for name in names if not absent(fields.held(name))]
    if any(whole(fields.held(name)) != whole(fields.held(filled[0])) for name in filled[1:]):
        raise RowError(
            "malformed",
            f"{' and '.join(filled)} both hold something, and not the same, but one of them is "
            "read: drop the other.",
        )
    return fields.held((filled or [name for name in names if name in fields] or names)[0])


def _exchange(turns: Sequence[Turn], *, answered: bool) -> tuple[list[Turn], str]:
    """Find what is asked last, after all that was said before, and what is said in answer."""
    said = [at for at, turn in enumerate(turns) if turn.speaker == "assistant" and turn.learned]
    at = said[-1] if said else len(turns)
    if answered and any(turn.speaker == "user" for turn in turns[at:]):
        at = len(turns)
    prompt = list(turns[:at])
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
    return prompt, turns[at].text if at < len(turns) else ""


def _turns(row: Fields, given: Sequence[object], place: Place, *, tags: bool) -> list[Turn]:
    """Read who says what, giving each tag the next medium of its kind.

    Media of a kind that has no tags at all come with what a user says first, as ms-swift and TRL
    have it.
    """
    waiting: dict[Modality, list[object]] = {kind: [] for kind in KINDS}
    for kind, item in named_media(row):
        waiting[kind].append(item)
    used = dict.fromkeys(KINDS, 0)
    turns = [_turn(_object(turn), waiting, used, place, tags=tags) for turn in given]
    ahead = [
        medium_of(item, place, kind) for kind in KINDS if not used[kind] for item in waiting[kind]
    ]
    for kind in KINDS:
        if used[kind] not in (0, len(waiting[kind])):
            raise RowError(
                "bad_media",
                f"{used[kind]} tags <{kind}> for {len(waiting[kind])} media, but each medium has "
                "one tag, in the same order, or none has: add or remove tags.",
            )
    first = next((at for at, turn in enumerate(turns) if turn.speaker == "user"), None)
    if first is not None:
        turns[first] = replace(turns[first], media=(*ahead, *turns[first].media))
    return turns


def _object(turn: object) -> Fields:
    if not isinstance(turn, Mapping):
        raise RowError(
            "malformed",
            f"a turn is {str(turn)[:80]!r}, but is an object with who says what: mend the row.",
        )
    return _fields(turn)


def _turn(
    fields: Fields,
    waiting: Mapping[Modality, list[object]],
    used: dict[Modality, int],
    place: Place,
    *,
    tags: bool,
) -> Turn:
    """Read one turn, counting in `used` the media that its tags take from those `waiting`."""
    said = either(fields, "role", "from")
    speaker = SPEAKERS.get(str(said).lower())
    if speaker is None:
        raise RowError(
            "malformed",
            f"a turn is by {str(said)[:40]!r}, but says something as one of "
            f"{', '.join(SPEAKERS)}: mend the row.",
        )
    content = either(fields, "content", "value")
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
            if used[one] <= len(waiting[one]):  # else `_turns` says how many are missing
                shown = medium_of(waiting[one][used[one] - 1], place, one)
                media.append(shown if own is None else within(own, shown))
    learned = all(fields.get(name) not in UNLEARNED for name in WEIGHTS)
    text = "".join(texts).strip()
    return Turn(speaker=speaker, text=text, media=tuple(media), learned=learned)


def _part(part: object) -> tuple[str, Modality | None, Fields | None]:
    """Read a typed part: a text, or a medium of a kind with what names it and its segment."""
    if isinstance(part, str):
        return part, None, None
    fields = _fields(part) if isinstance(part, Mapping) else Fields({})
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
    """See whether a typed part names a file of its own."""
    held = (part.peek(key) for key in (*FILE_KEYS, "bytes"))
    return next((value for value in held if not absent(value)), None)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise RowError(
            "malformed", f"{str(value)[:80]!r} is no list, but turns and media are: mend the row."
        )
    return value


CHAT: tuple[Format, ...] = (
    Format(name="chat", fields=frozenset({"messages"}), adapt=chat, generic=True),
    Format(name="chat", fields=frozenset({"conversations"}), adapt=chat, generic=True),
    Format(name="llava_video", fields=frozenset({"conversations", "video"}), adapt=llava_video),
    Format(name="alpaca", fields=frozenset({"instruction", "output"}), adapt=alpaca, generic=True),
    Format(
        name="verl",
        fields=frozenset({"prompt", "reward_model"}),
        adapt=verl,
        harmless=frozenset({"reward_model.style", "extra_info.question", "extra_info.answer"}),
        generic=True,
    ),
)
