"""Read what a server replies: one shape is an answer, and anything else says why it is none."""

from collections.abc import Mapping

from untrusted.json_text import json_of

CUT = ("length", "max_tokens", "model_length")
"""The words by which servers say that a completion has all the tokens that it was allowed."""

ENDS = (None, "stop", "eos", "eos_token", "stop_sequence", "end_turn", *CUT)
"""The same, and those that say that its model was done."""

ELSEWHERE = ("reasoning_content", "reasoning", "tool_calls", "function_call", "audio")
"""Fields of a message that say something in place of its text."""


WAY_OUT = ": is probe.server.url right?"


class NoAnswer(Exception):
    """A reply answers nothing; the question may be left out, and the next one asked."""


def answer(body: bytes) -> str:
    """Return the text of a chat completion; a `NoAnswer` if the reply holds no such text.

    A model that declines, or ends its turn at once, has said nothing: that is an answer, and wrong.
    What else a completion holds, its name, date and counts, is not read.
    """
    reply = parsed(body)
    if not isinstance(reply, dict):
        raise NoAnswer(f"a reply that is {_kind(reply)}, not a chat completion{WAY_OUT}")
    if reply.get("error"):
        raise NoAnswer(f"an error in place of an answer: {body[:400].decode(errors='replace')}")
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        shown = f"{len(choices)} choices" if isinstance(choices, list) else _kind(choices)
        raise NoAnswer(f"a reply with {shown} where one choice is due{WAY_OUT}")
    [choice] = choices
    if not isinstance(choice, dict):
        raise NoAnswer(f"a choice that is {_kind(choice)}, not an object")
    message, end = choice.get("message"), choice.get("finish_reason")
    if not isinstance(message, dict):
        raise NoAnswer(f"a choice whose message is {_kind(message)}, not an object")
    if end not in ENDS:
        shown = repr(end[:60]) if isinstance(end, str) else _kind(end)
        raise NoAnswer(f"a completion that was cut off (finish_reason is {shown})")
    return _text(message, end)


def _text(message: Mapping[str, object], end: object) -> str:
    """Return what a message says."""
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
    """Read a reply as JSON, in the way in which all of others is read."""
    try:
        found: object = json_of(body)
    except ValueError as error:
        start = body[:60].decode(errors="replace")
        raise NoAnswer(f"a reply that is no JSON ({error}): {start!r}{WAY_OUT}") from None
    return found


def _kind(value: object) -> str:
    """Name what a value is, in words for people."""
    kinds: dict[type, str] = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
    }
    if value is None or value is ...:
        return "nothing"
    return kinds.get(type(value), "a number")
