"""Read chats: ms-swift's, LLaMA-Factory's, LLaVA-Video's, alpaca's and verl's, and typed parts.

The last exchange of a chat is asked, and what was said before stands before it as text. Media come
before all text in our prompts, in the order of their tags; where in a text a tag stood is lost.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, final, get_args

from datamodules.sample import Modality
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers import RowError, written
from datamodules.sources.columns import (
    absent,
    answer_of,
    facts,
    file_of,
    is_short,
    medium,
    tagged,
    text_of,
)
from datamodules.sources.lettering import split_options

Speaker = Literal["system", "user", "assistant"]

SPEAKERS: dict[str, Speaker] = {
    **{"system": "system", "developer": "system", "user": "user", "human": "user"},
    **{"assistant": "assistant", "gpt": "assistant", "model": "assistant"},
}

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
    the lines of a question that begin with A., B., and so on.
    """
    turns = _turns(row, place)
    solution = next((row[key] for key in ("solution", "answer") if not absent(row.get(key))), None)
    prompt, completion = _exchange(turns, answered=solution is not None)
    *earlier, last = prompt
    fields = asked(last.text, completion if solution is None else written(solution), completion)
    names = {"user": "User: ", "assistant": "Assistant: ", "system": ""}
    said = [f"{names[turn.speaker]}{turn.text}" for turn in earlier if turn.text]
    yield {
        **{name: row[name] for name in ("id", "source", "asset_id") if name in row},
        **fields,
        "question": "\n\n".join([*said, str(fields["question"])]),
        "media": [item for turn in prompt for item in turn.media],
    }


def llava_video(row: Row, place: Place) -> Iterator[Row]:
    """Read LLaVA-Video, which marks the place of its film with the tag of an image, or not."""
    turns = [
        {**turn, "value": TAG.sub("", text_of(turn, "value"))}
        if isinstance(turn, Mapping)
        else turn
        for turn in _list(row.get("conversations"))
    ]
    named = {"id": row.get("id"), "source": row.get("data_source")}
    shown = {"role": "system", "content": "<video>"}
    yield from chat({**named, "messages": [shown, *turns], "video": row.get("video")}, place)


def alpaca(row: Row, place: Place) -> Iterator[Row]:
    """Read an instruction, what it is about, and the output that is to be learned."""
    parts = [text_of(row, "instruction"), *([] if absent(row.get("input")) else [row["input"]])]
    turns = [
        {"role": speaker, "content": text}
        for pair in _list(row.get("history") or [])
        for speaker, text in zip(("user", "assistant"), _list(pair), strict=False)
    ]
    turns.append({"role": "user", "content": "\n".join(map(written, parts))})
    turns.append({"role": "assistant", "content": text_of(row, "output")})
    yield from chat({**row, "messages": turns}, place)


def verl(row: Row, place: Place) -> Iterator[Row]:
    """Read a prompt and the truth that its reward compares with."""
    reward, extra = row.get("reward_model"), row.get("extra_info")
    truth = reward.get("ground_truth") if isinstance(reward, Mapping) else None
    if absent(truth):
        raise RowError(
            "missing_answer",
            f"reward_model is {str(reward)[:80]!r}, but its ground_truth is what is scored: give "
            "one.",
        )
    media = {name: row[name] for kind in KINDS for name in (kind, f"{kind}s") if name in row}
    told = {**(extra if isinstance(extra, Mapping) else {}), "ability": row.get("ability")}
    asked_for = {"messages": row.get("prompt"), "solution": truth, "source": row.get("data_source")}
    for question in chat({**media, **asked_for}, place):
        yield {**question, "facts": facts(told, "ability", "split", "index")}


def asked(text: str, given: str, completion: str) -> dict[str, object]:
    """Make a question of what is asked, what answers it, and what is said in answer.

    A completion that is no more than the answer to a choice, a number or yes or no is left out:
    the answer in its tags is imitated instead, as prompts ask for it.
    """
    answer = tagged(given)
    question, options = split_options(text)
    chosen = _choice(answer, options)
    if chosen is not None:
        bare = "<answer>" not in completion and _choice(completion, options) is not None
        said = "" if bare else completion
        return {"question": question, "options": options, "answer": chosen, "completion": said}
    short = is_short(answer)
    return {
        "question": text,
        "answer": answer,
        "answer_type": None if short else "text",
        "completion": "" if short and completion.strip() == answer else completion,
    }


def _choice(answer: str, options: Sequence[str]) -> str | None:
    try:
        return answer_of(answer, options, "any") if options else None
    except RowError:
        return None


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


def _turns(row: Row, place: Place) -> list[Turn]:
    """Read who says what, giving each tag the next medium of its kind."""
    given = _list(row.get("messages", row.get("conversations")))
    if not absent(row.get("system")):
        given = [{"role": "system", "content": row["system"]}, *given]
    waiting = {kind: _list(_beside(row, kind)) for kind in KINDS}
    used = dict.fromkeys(KINDS, 0)
    turns = [_turn(turn, waiting, used, place) for turn in given]
    for kind in KINDS:
        if used[kind] != len(waiting[kind]):
            raise RowError(
                "bad_media",
                f"{used[kind]} tags <{kind}> for {len(waiting[kind])} media, but each medium has "
                "one tag, in the same order: add or remove tags.",
            )
    return turns


def _beside(row: Row, kind: Modality) -> object:
    value = next((row[key] for key in (f"{kind}s", kind) if not absent(row.get(key))), [])
    return value if isinstance(value, list) else [value]


def _turn(
    turn: object, waiting: Mapping[Modality, list[object]], used: dict[Modality, int], place: Place
) -> Turn:
    """Read one turn, counting in `used` the media that its tags take from those `waiting`."""
    fields = turn if isinstance(turn, Mapping) else {}
    speaker = SPEAKERS.get(str(fields.get("role", fields.get("from"))).lower())
    if speaker is None:
        raise RowError(
            "malformed",
            f"a turn is {str(turn)[:80]!r}, but says something as one of {', '.join(SPEAKERS)}: "
            "mend the row.",
        )
    content = fields.get("content", fields.get("value"))
    texts, media = [], []
    for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
        text, own = _part(part)
        texts.append(TAG.sub("", text))
        for kind in own or [cast(Modality, tag) for tag in TAG.findall(text)]:  # the only tags
            file = own.get(kind)
            if file is None:
                file = next(iter(waiting[kind][used[kind] :]), None)
                used[kind] += 1
            if file is not None:  # else `_turns` says how many are missing
                media.append(medium(kind, file_of(file, place)))
    learned = fields.get("loss") not in (False, 0, "false", "False")
    text = "".join(texts).strip()
    return Turn(speaker=speaker, text=text, media=tuple(media), learned=learned)


def _part(part: object) -> tuple[str, dict[Modality, object]]:
    """Read a typed part: a text, or a kind of medium with its file, None if that lies beside."""
    if isinstance(part, str):
        return part, {}
    fields = part if isinstance(part, Mapping) else {}
    for kind in KINDS:
        if fields.get("type") in (kind, f"{kind}_url", f"input_{kind}"):
            keys = (kind, "path", "url", f"{kind}_url")
            return "", {
                kind: next((fields[key] for key in keys if not absent(fields.get(key))), None)
            }
    text = fields.get("text")
    if fields.get("type") not in (None, "text") or not isinstance(text, str):
        raise RowError(
            "malformed",
            f"a part of a turn is {str(part)[:80]!r}, but is a text or a medium: mend the row.",
        )
    return text, {}


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
    Format(name="verl", fields=frozenset({"prompt", "reward_model"}), adapt=verl, generic=True),
)
