"""Servers that say anything but an answer: each costs one question, and the reason is told."""

import gzip
import json
import logging
import random
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from evaluation.probing.chat_messages import ChatRequest
from evaluation.probing.replies import NoAnswer, answer
from tests.evaluation.probing.test_openai_client import asked, questions
from tests.hostile_server import completion, http, message, misbehaving

JSON = "a reply that is no JSON"
NO_TEXT = "a message whose content is"
ONE = "where one choice is due"
BROKE = "the connection broke off"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
HUGE = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b" " * 5_000_000

REPLIES: dict[str, tuple[bytes, str]] = {
    # the text
    "content is a list": (http(message(content=["yes"])), f"{NO_TEXT} a list"),
    "content is parts": (http(message(content=[{"type": "text", "text": "yes"}])), "a list"),
    "content is a number": (http(message(content=5)), f"{NO_TEXT} a number"),
    "content is a fraction": (http(message(content=0.5)), f"{NO_TEXT} a number"),
    "content is true": (http(message(content=True)), f"{NO_TEXT} true or false"),
    "content is an object": (http(message(content={"text": "yes"})), f"{NO_TEXT} an object"),
    "content is not there": (http(completion(message={"role": "assistant"})), f"{NO_TEXT} nothing"),
    "half a character": (http(message(content="\ud800")), JSON),
    "thoughts alone": (http(message(content=None, reasoning_content="Hm")), "reasoning_content"),
    "thoughts, other name": (http(message(content="", reasoning="Hm")), "in reasoning and nothing"),
    "a tool": (http(message(content=None, tool_calls=[{"id": "1"}])), "in tool_calls and nothing"),
    "sound": (http(message(content=None, audio={"data": ""})), "in audio and nothing"),
    # how it ended
    "filtered": (http(completion(finish_reason="content_filter")), "'content_filter'"),
    "aborted": (http(completion(finish_reason="abort")), "cut off .finish_reason is 'abort'"),
    "end is a list": (http(completion(finish_reason=["stop"])), "finish_reason is a list"),
    "end is a number": (http(completion(finish_reason=1)), "finish_reason is a number"),
    "no token left": (
        http(completion(finish_reason="length", message={"role": "assistant", "content": ""})),
        "needs a larger probe.max_completion_tokens",
    ),
    "no token left, null": (
        http(completion(finish_reason="length", message={"role": "assistant", "content": None})),
        "needs a larger probe.max_completion_tokens",
    ),
    # the choices
    "choices is a text": (http({"choices": "yes"}), f"a text {ONE}"),
    "choices is an object": (http({"choices": {"0": {}}}), f"an object {ONE}"),
    "choices is null": (http({"choices": None}), f"nothing {ONE}"),
    "choices is a number": (http({"choices": 1}), f"a number {ONE}"),
    "no choices": (http({"choices": []}), f"0 choices {ONE}"),
    "numbers as choices": (http({"choices": [1]}), "a choice that is a number"),
    "null as a choice": (http({"choices": [None]}), "a choice that is nothing"),
    "two choices": (http({"choices": completion()["choices"] * 2}), f"2 choices {ONE}"),
    "an empty object": (http({}), f"nothing {ONE}"),
    "message is null": (http(completion(message=None)), "whose message is nothing"),
    "message is a text": (http(completion(message="yes")), "whose message is a text"),
    "message is a list": (http(completion(message=[{}])), "whose message is a list"),
    # the whole
    "a list": (http([completion()]), "a reply that is a list"),
    "a text": (http('"yes"'), "a reply that is a text"),
    "null": (http("null"), "a reply that is nothing"),
    "an error with success": (http({"error": {"message": "no memory"}}), "no memory"),
    "an error and an answer": (http(completion() | {"error": "overloaded"}), "overloaded"),
    "nothing": (http(""), JSON),
    "no content": (http("", status="204 No Content"), JSON),
    "a page": (http("<html>hello</html>", kind="text/html"), f"{JSON}.*<html>hello"),
    "a stream": (http('data: {"choices": []}\n\n', kind="text/event-stream"), f"{JSON}.*data: "),
    "half of it": (http(http(completion())[90:150]), JSON),
    "no number": (http('{"choices": [NaN]}'), "a choice that is a number"),
    "endless number": (http('{"choices": ' + "9" * 5000 + "}"), JSON),
    "a field twice": (
        http(http(completion()).partition(b"\r\n\r\n")[2].replace(b"}", b',"content": "no"}', 1)),
        "an object names 'content' twice",
    ),
    "deep lists": (http("[" * 100_000), "within one another without end"),
    "deep objects": (http('{"choices":' * 100_000), "within one another without end"),
    "no UTF-8": (http(b'{"choices": "\xff\xfe"}'), JSON),
    "another encoding": (http('{"choices": []}'.encode("utf-16")), JSON),
    "packed": (http(gzip.compress(b" " * 2**26), "content-encoding: gzip"), "packed as 'gzip'"),
    "packed as nothing known": (http(completion(), "content-encoding: zz"), "packed as 'zz'"),
    "huge": (HUGE, "a reply of more than 4,194,304 bytes"),
    "huge in chunks": (CHUNKED + (b"100000\r\n" + b" " * 2**20 + b"\r\n") * 5, "of more than"),
    # below that
    "hung up": (b"", BROKE),
    "shorter than it said": (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{}", BROKE),
    "chunks of garbage": (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", BROKE),
    "chunks that end early": (CHUNKED + b"5\r\n{}", BROKE),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", BROKE),
    "garbage": (bytes(range(256)), BROKE),
    "no status": (b"HTTP/1.1 \r\n\r\n", BROKE),
    "too long a header": (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, BROKE),
    "lengths that disagree": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        BROKE,
    ),
    "a length below zero": (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}", BROKE),
    "switched": (http("", "upgrade: x", "connection: upgrade", status="101 S"), BROKE),
    # other statuses
    "deep refusal": (http("[" * 100_000, status="400 No"), "Error code: 400"),
    "refusal in a list": (http([{"error": 1}], status="422 No"), "Error code: 422"),
    "escapes": (http("\x1b[2J\x07\x00no\r\n\u202enow", status="400 No"), "- .2J no now$"),
    "unheard of": (http("hm", status="799 Hm"), "Error code: 799 - hm"),
}

FINE: dict[str, tuple[bytes, str]] = {
    "nothing but the text": (http({"choices": [{"message": {"content": "yes"}}]}), "yes"),
    "a message of nothing": (http(message(content=None)), ""),
    "ended at once": (
        http(completion(finish_reason="eos", message={"role": "assistant", "content": ""})),
        "",
    ),
    "a refusal": (http(message(content=None, refusal="I cannot.")), ""),
    "cut off by length": (http(completion(finish_reason="length")), "yes"),
    "no errors": (http(completion() | {"error": None}), "yes"),
    "thoughts as well": (http(message(reasoning_content="Hm")), "yes"),
    "odd characters": (http(message(content="a\0\x1b[1m\u202e😀")), "a\0\x1b[1m\u202e😀"),
    "called text": (http(completion(), kind="text/plain"), "yes"),
    "marked as Unicode": (
        http("\ufeff" + http(completion()).decode().partition("\r\n\r\n")[2]),
        "yes",
    ),
    "told to wait first": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + http(completion()), "yes"),
    "created": (http(completion(), status="201 Created"), "yes"),
    "in chunks": (
        CHUNKED + b'11\r\n{"choices":[{"mes\r\n1c\r\nsage":{"content":"yes"}}]}  \r\n0\r\n\r\n',
        "yes",
    ),
}


@pytest.fixture(scope="module")
def outcome() -> Iterator[dict[str, Any]]:
    """Ask for all of these replies in one session, behind one answer; give texts and reasons."""
    replies = {**REPLIES, **FINE}

    def behave(body: dict[str, Any], connection: socket.socket) -> None:
        name = body["messages"][0]["content"]
        connection.sendall(replies[name][0] if name in replies else http(completion()))

    def ordered() -> Iterator[ChatRequest]:
        """Ask the rest once there is a first answer: a server that never gave one is given up."""
        first, *rest = questions(1 + len(replies))
        yield first
        while not texts:
            time.sleep(0.01)
        for request, name in zip(rest, replies, strict=True):
            request.messages[0]["content"] = name
            yield request

    texts: dict[str, list[str]] = {}
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("evaluation.probing.openai_client").addHandler(handler)
    with misbehaving(behave) as seen:
        try:
            asked(seen.config(concurrency=16), ordered(), into=texts)
        except ValueError as error:
            said.append(str(error))
    logging.getLogger("evaluation.probing.openai_client").removeHandler(handler)
    found: dict[str, Any] = {"end": said[-1]}
    for number, name in enumerate(replies, start=1):
        reasons = [line for line in said if line.startswith(f"s{number} is left out")]
        found[name] = texts.get(f"s{number}"), "".join(reasons)
    yield found


@pytest.mark.parametrize("name", REPLIES)
def test_what_is_no_answer_is_left_out_with_the_reason(outcome, name):
    text, reason = outcome[name]
    assert text is None
    assert re.search(REPLIES[name][1], reason), reason
    assert len(reason) < 600 and reason.isprintable()


@pytest.mark.parametrize("name", FINE)
def test_what_is_an_answer_beyond_doubt_is_taken(outcome, name):
    assert outcome[name] == ([FINE[name][1]], "")


def test_the_session_ends_with_a_count_of_what_was_left_out(outcome):
    everything = len(REPLIES) + len(FINE) + 1
    assert outcome["end"].startswith(f"{len(REPLIES)} of {everything} questions got no answer")


ODD = (None, True, 0, -1, 1e308, "", "yes", [], [[]], {}, {"content": "no"}, [{"message": 1}])


def damaged(rng: random.Random) -> bytes:
    """Put something else into any place of a completion, then now and then bytes anywhere."""
    tree = completion()
    choice = tree["choices"][0]
    place = rng.choice([tree, choice, choice["message"]])
    place[rng.choice([*place, "error", "refusal", "tool_calls"])] = rng.choice(ODD)
    raw = bytearray(json.dumps(tree).encode())
    for _ in range(rng.choice([0, 0, 1, 3])):
        at = rng.randrange(len(raw))
        raw[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(raw)


def test_whatever_is_damaged_a_reply_is_a_text_or_tells_why_it_is_none():
    rng = random.Random(7)
    read = []
    for _ in range(3_000):
        try:
            read.append(answer(damaged(rng)))
        except NoAnswer as error:
            assert 0 < len(str(error)) < 700
    assert 300 < len(read) < 2_000
    assert all(isinstance(text, str) for text in read)
