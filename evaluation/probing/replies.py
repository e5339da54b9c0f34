"""Parse the replies of a server: a chat completion, or a reason why it is none."""

from collections.abc import Mapping

from untrusted.json_text import json_of

CUT = ("length", "max_tokens", "model_length")
"""Values of finish_reason for a completion at its length limit."""

ENDS = (None, "stop", "eos", "eos_token", "stop_sequence", "end_turn", *CUT)
"""The same, and those for a completion that ended by itself."""

ELSEWHERE = ("reasoning_content", "reasoning", "tool_calls", "function_call", "audio")
"""Fields of a message that may be filled instead of its text."""


WAY_OUT = ": is probe.server.url right?"


class NoAnswer(Exception):
    """A reply is no answer; the question may be skipped."""


def answer(body: bytes) -> str:
    """Return the text of a chat completion; a `NoAnswer` if the reply holds no such text.

    A refusal or an empty completion is an answer, and wrong. Other fields of a completion are
    ignored.
    """
    reply = parsed(body)
    if not isinstance(reply, dict):
        raise NoAnswer(f"a reply that is {_kind(reply)}, not a chat completion{WAY_OUT}")
    if reply.get("error"):
        raise NoAnswer(f"an error in place of an answer: {body[:400].decode(errors='replace')}")
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        given = f"{len(choices)} choices" if isinstance(choices, list) else _kind(choices)
        raise NoAnswer(f"a reply with {given} where one choice is due{WAY_OUT}")
    [choice] = choices
    if not isinstance(choice, dict):
        raise NoAnswer(f"a choice that is {_kind(choice)}, not an object")
    message, end = choice.get("message"), choice.get("finish_reason")
    if not isinstance(message, dict):
        raise NoAnswer(f"a choice whose message is {_kind(message)}, not an object")
    if end not in ENDS:
        given = repr(end[:60]) if isinstance(end, str) else _kind(end)
        raise NoAnswer(f"a completion that was cut off (finish_reason is {given})")
    return _text(message, end)


def _text(message: Mapping[str, object], end: object) -> str:
    """Return the text of a message."""
    text = message.get("content", ...)
    if not isinstance(text, str | None):
        raise NoAnswer(f"a message whose content is {_kind(text)}, not a text")
    if not text and not message.get("refusal"):
        if filled := next((name for name in ELSEWHERE if message.get(name)), None):
            raise NoAnswer(
                f"a message that says something in {filled} and nothing in its text: let the "
                "server put answers there, or raise probe.max_completion_tokens"
            )
        if end in CUT:
            raise NoAnswer(
                f"no text within the tokens allowed (finish_reason {end!r}): a model that thinks "
                "first needs a larger probe.max_completion_tokens"
            )
    return text or ""


def parsed(body: bytes) -> object:
    """Parse a reply as JSON from an untrusted source."""
    try:
        value: object = json_of(body)
    except ValueError as error:
        start = body[:60].decode(errors="replace")
        raise NoAnswer(f"a reply that is no JSON ({error}): {start!r}{WAY_OUT}") from None
    return value


def _kind(value: object) -> str:
    """Name the type of a value, for people."""
    kinds: dict[type, str] = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
    }
    if value is None or value is ...:
        return "nothing"
    return kinds.get(type(value), "a number")
