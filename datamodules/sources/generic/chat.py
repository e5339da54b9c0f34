"""Read chats: ms-swift's, LLaMA-Factory's, LLaVA-Video's, alpaca's and verl's, and typed parts.

The last exchange of a chat is the question; earlier ones stand before it as text. Media come before
all text in our prompts, in the order of their tags; the position of a tag within a text is lost.
"""

from collections.abc import Iterator, Mapping, Sequence

from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.normalize import RowError, written
from datamodules.sources.fields.columns import absent, facts, is_short, text_of
from datamodules.sources.fields.row import Fields, fields_of
from datamodules.sources.fields.segments import in_segments
from datamodules.sources.generic.question_text import named, open_question, parts_of
from datamodules.sources.generic.turns import either, exchange, list_of, turns_of

OWN = ("id", "source", "asset_id", "answer_type", "tolerance", "evidence", "facts")
"""Fields of our own manifest that a chat may have."""


def chat(row: Row, place: Place) -> Iterator[Row]:
    """Read a chat with its media in lists beside it, or in typed parts.

    The last turn of the assistant that is to be learned is the completion. A `solution` or `answer`
    is what is scored; without one, it is what the completion says: in its tags, as the letter or
    the text of an option, as a number, as yes or no, or else word for word. Options are read from
    the lines of a question that begin with A., B., and so on, or that follow one another in it.
    """
    fields = fields_of(row)
    yield _question(fields, list_of(either(fields, "messages", "conversations")), place)


def llava_video(row: Row, place: Place) -> Iterator[Row]:
    """Read LLaVA-Video, which marks the place of its video with an image tag, or not at all."""
    fields = fields_of(row)
    found = _question(fields, list_of(fields.held("conversations")), place, tags=False)
    yield {**found, "source": fields.get("data_source")}


def alpaca(row: Row, place: Place) -> Iterator[Row]:
    """Read instruction, input and output."""
    fields = fields_of(row)
    parts = [text_of(fields, "instruction"), fields.get("input")]
    turns: list[object] = [
        {"role": speaker, "content": text}
        for pair in list_of(fields.held("history") or [])
        for speaker, text in zip(("user", "assistant"), list_of(pair), strict=False)
    ]
    asked = "\n".join(written(part) for part in parts if not absent(part))
    turns.append({"role": "user", "content": asked})
    turns.append({"role": "assistant", "content": text_of(fields, "output")})
    yield _question(fields, turns, place)


def verl(row: Row, place: Place) -> Iterator[Row]:
    """Read a prompt and the ground truth of its reward."""
    fields = fields_of(row)
    reward, extra = fields.held("reward_model"), fields.held("extra_info")
    truth = reward.get("ground_truth") if isinstance(reward, Mapping) else None
    if absent(truth):
        raise RowError(
            "missing_answer",
            f"reward_model is {str(reward)[:80]!r}, but its ground_truth is what is scored: give "
            "one.",
        )
    prompt = fields.held("prompt")
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list_of(prompt)
    told = facts(fields, "ability")
    if isinstance(extra, Mapping):
        told |= facts(extra, "split", "index")
    yield {
        **_question(fields, turns, place, solution=truth),
        "source": fields.get("data_source"),
        "facts": told,
    }


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
    turns = turns_of(row, given, place, tags=tags)
    if solution is None and not absent(found := either(row, "solution", "answer")):
        solution = found
    prompt, completion = exchange(turns, answered=solution is not None)
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
    """Make a question of a text, its answer and its completion.

    A completion that is no more than the answer to a choice, a number or yes or no is dropped:
    the answer in its tags is imitated instead, as prompts ask for it.
    """
    parts = parts_of(text, given) if given.strip() else None
    if parts is None:
        return {"question": text, "answer": given, "completion": completion}
    question = open_question(parts)
    if parts.chosen is not None:
        said = None if "<answer>" in completion else named(completion.strip(), parts.options)
        if said not in (None, parts.chosen):
            raise RowError(
                "bad_answer",
                f"the assistant says {completion.strip()[:80]!r}, but the answer is "
                f"{parts.chosen[:80]!r}, and one of them would be learned: drop either.",
            )
        return {**question, "completion": completion if said is None else ""}
    short = is_short(parts.answer) and completion.strip() == parts.answer
    return {**question, "completion": "" if short else completion}


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
