import asyncio
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import pytest

from configs.probing import ServerConfig
from evaluation.probing import openai_client as remote
from evaluation.probing.chat_messages import ChatRequest
from evaluation.probing.openai_client import ask_remote
from tests.conftest import make_sample
from tests.hostile_server import Seen, http, message, misbehaving
from untrusted.servers import reach

KEY = "sk-planted-0123456789"
Reply = tuple[int, dict[str, str], object]


def said(text: str | None) -> Reply:
    return 200, {}, message(content=text)


def refused(status: int, text: str, **headers: str) -> Reply:
    return status, headers, {"error": {"message": text, "code": None}}


@contextmanager
def serving(reply: Callable[[int, dict[str, Any]], Reply]) -> Iterator[Seen]:
    """Answer on a socket of this machine; `reply` gets the request's number and body."""
    numbers = count()

    def behave(body: dict[str, Any], connection: socket.socket) -> bool:
        status, headers, payload = reply(next(numbers), body)
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        kind = "text/html" if isinstance(payload, str) else "application/json"
        connection.sendall(http(payload, *lines, status=f"{status} Said", kind=kind))
        return True  # the connection stays open

    with misbehaving(behave) as seen:
        yield seen


def questions(count: int, *, answers: int = 1, first: int = 0) -> list[ChatRequest]:
    return [
        ChatRequest(
            sample=make_sample(f"s{number}"),
            messages=[{"role": "user", "content": f"question {number}"}],
            answers=answers,
            first=first,
        )
        for number in range(count)
    ]


def asked(
    config: ServerConfig,
    requests: Iterable[ChatRequest],
    *,
    temperature: float = 0.0,
    into: dict[str, list[str]] | None = None,
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {} if into is None else into
    for request, texts in ask_remote(
        config, requests, seed=7, temperature=temperature, max_tokens=16
    ):
        assert request.sample.id not in found  # each once
        found[request.sample.id] = texts
    return found


def echo(_: int, body: dict[str, Any]) -> Reply:
    return said(body["messages"][-1]["content"])


def test_each_answer_is_a_request_with_a_seed_of_its_own():
    with serving(echo) as seen:
        found = asked(seen.config(), questions(2, answers=3), temperature=0.9)
        again = asked(seen.config(), questions(2, answers=1, first=2), temperature=0.9)
    assert found == {"s0": ["question 0"] * 3, "s1": ["question 1"] * 3}
    assert len(again) == 2
    seeds = [body["seed"] for body in seen.bodies]
    assert len(set(seeds[:6])) == 6
    assert set(seeds[6:]) < set(seeds[:6])  # the third answer is drawn alike, whenever it is asked
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert all(body["max_completion_tokens"] == 16 for body in seen.bodies)


def test_the_greedy_answer_needs_no_seed():
    with serving(echo) as seen:
        asked(seen.config(), questions(1))
    assert "seed" not in seen.bodies[0]
    assert seen.bodies[0]["temperature"] == 0


def test_a_server_without_seeds_is_asked_without():
    def reply(_: int, body: dict[str, Any]) -> Reply:
        return refused(422, "extra field: seed") if "seed" in body else said("yes")

    with serving(reply) as seen:
        assert len(asked(seen.config(), questions(20), temperature=1.0)) == 20
    assert len(seen.bodies) <= 20 + 8


def test_an_empty_or_refused_completion_is_empty_text():
    with serving(lambda *_: said(None)) as seen:
        assert asked(seen.config(), questions(1)) == {"s0": [""]}


def test_a_rate_limit_is_waited_out():
    def reply(number: int, _: dict[str, Any]) -> Reply:
        return said("yes") if number else refused(429, "slow down", retry_after="1")

    with serving(reply) as seen:
        assert asked(seen.config(retries=1), questions(1)) == {"s0": ["yes"]}
    assert seen.times[1] - seen.times[0] >= 1


def test_starts_are_evenly_spaced():
    """1200 a minute is one every 50 ms; a second attempt counts like a first."""

    def reply(number: int, _: dict[str, Any]) -> Reply:
        return refused(500, "try again", x_should_retry="true") if number == 0 else said("yes")

    with serving(reply) as seen:
        start = time.monotonic()
        asked(seen.config(requests_per_minute=1200, retries=1), questions(11))
    waited = np.sort(seen.times) - start
    assert len(waited) == 12
    assert (waited >= 0.05 * np.arange(12) - 0.001).all()


def test_no_more_requests_are_under_way_than_allowed():
    running, most, lock, full = [], [], threading.Lock(), threading.Event()

    def reply(*_: object) -> Reply:
        with lock:
            running.append(1)
            most.append(len(running))
        if len(running) == 3:
            full.set()
        full.wait(20)
        time.sleep(0.02)  # in which a fourth could begin
        running.pop()
        return said("yes")

    with serving(reply) as seen:
        asked(seen.config(concurrency=3), questions(6, answers=4), temperature=1.0)
    assert max(most) == 3


def test_a_wrong_key_stops_at_once_and_is_shown_nowhere(monkeypatch, caplog):
    monkeypatch.setenv("SOME_KEY", f" {KEY}\n")
    caplog.set_level(logging.INFO)
    with serving(lambda *_: refused(401, f"Incorrect API key provided: {KEY}")) as seen:
        config = seen.config(key_variable="SOME_KEY", concurrency=2)
        with pytest.raises(ValueError, match=r"401.*No further request.*SOME_KEY") as caught:
            asked(config, questions(50))
    assert seen.keys[0] == f"Bearer {KEY}"
    assert len(seen.keys) <= 4
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert seen.url in shown
    assert KEY not in shown
    assert caught.value.__context__ is None


def test_an_empty_account_stops_at_once():
    reply = (429, {}, {"error": {"message": "Pay first.", "code": "insufficient_quota"}})
    with serving(lambda *_: reply) as seen, pytest.raises(ValueError, match=r"429.*Pay first"):
        asked(seen.config(concurrency=1), questions(5))
    assert len(seen.bodies) == 1


@pytest.mark.parametrize("held", ["", "  ", "a\nb", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_named_by_its_variable(monkeypatch, held):
    monkeypatch.setenv("SOME_KEY", held)
    config = ServerConfig(url="https://api.example.com/v1", model="m", key_variable="SOME_KEY")
    with pytest.raises(ValueError, match=r"SOME_KEY holds no key") as caught:
        asked(config, questions(1))
    assert not held.strip() or held not in str(caught.value)


def test_a_server_on_this_machine_needs_no_key(monkeypatch):
    monkeypatch.delenv("SOME_KEY", raising=False)
    with serving(echo) as seen:
        asked(seen.config(key_variable="SOME_KEY"), questions(1))
    assert seen.keys == ["Bearer none"]


def test_refusals_before_any_answer_stop_the_run():
    stopped = pytest.raises(ValueError, match=r"refused the first 3 questions.*no audio, please")
    with serving(lambda *_: refused(400, "no audio, please")) as seen, stopped:
        asked(seen.config(concurrency=1), questions(50))
    assert len(seen.bodies) == 3


def test_a_page_instead_of_an_answer_is_no_answer():
    stopped = pytest.raises(ValueError, match=r"is probe\.server\.url right")
    with serving(lambda *_: (200, {}, "<html>hello</html>")) as seen, stopped:
        asked(seen.config(), questions(3))


def test_one_bad_question_among_many_is_left_out(caplog):
    def reply(_: int, body: dict[str, Any]) -> Reply:
        bad = body["messages"][0]["content"] == "question 5"
        return refused(400, "context too long") if bad else said("yes")

    with serving(reply) as seen:
        found = asked(seen.config(), questions(40))
    assert found.keys() == {f"s{number}" for number in range(40)} - {"s5"}
    assert "s5 is left out, 1 so far: Error code: 400" in caplog.text


def test_too_many_bad_questions_fail_the_run_after_the_good_ones():
    def reply(_: int, body: dict[str, Any]) -> Reply:
        bad = body["messages"][0]["content"].endswith("5")
        return refused(400, "context too long") if bad else said("yes")

    arrived = []
    stopped = pytest.raises(ValueError, match="4 of 40 questions got no answer")
    with serving(reply) as seen, stopped:
        for request, _ in ask_remote(
            seen.config(), questions(40), seed=0, temperature=0.0, max_tokens=8
        ):
            arrived.append(request.sample.id)
    assert len(arrived) == 36


def test_answers_before_a_refused_one_are_kept():
    def reply(number: int, _: dict[str, Any]) -> Reply:
        return refused(413, "enough") if number == 22 else said("yes")

    with serving(reply) as seen:
        found = asked(seen.config(concurrency=1), questions(21, answers=4), temperature=1.0)
    assert [len(texts) for texts in found.values()] == [4] * 5 + [2] + [4] * 15


def test_nobody_at_the_address_is_said_before_any_retry():
    """Sixty tries, each later than the last, would take many minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"  # and nobody else's meanwhile
        with pytest.raises(ValueError, match=r"/v1 cannot be reached \(.*start it, or check"):
            asked(ServerConfig(url=url, model="m", retries=60), questions(5))


def test_a_proxy_is_who_reaches_the_server(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    asyncio.run(reach("http://nowhere.invalid/v1"))
    with pytest.raises(ValueError, match=r"cannot be reached"):
        asyncio.run(reach("https://nowhere.invalid/v1"))


def test_an_outage_beyond_patience_stops_the_run(monkeypatch):
    monkeypatch.setattr(remote, "PATIENCE", 1.0)

    def reply(number: int, _: dict[str, Any]) -> Reply:
        return refused(503, "loading") if number else said("yes")

    with serving(reply) as seen, pytest.raises(ValueError, match=r"does not answer.*loading"):
        asked(seen.config(concurrency=1), questions(5))


def ours(before: set[threading.Thread]) -> list[str]:
    """The client's threads since then: its own, and those that read questions for it."""
    names = [thread.name for thread in set(threading.enumerate()) - before]
    return [name for name in names if name == "requests" or name.startswith("asyncio")]


def test_leaving_early_cancels_what_is_under_way(monkeypatch):
    monkeypatch.setattr(remote, "LEAVING", 60)
    held = threading.Event()

    def reply(number: int, body: dict[str, Any]) -> Reply:
        if number:
            held.wait(60)
        return echo(number, body)

    with serving(reply) as seen:
        before = set(threading.enumerate())
        read = iter(questions(1000))
        arrived = ask_remote(seen.config(), read, seed=0, temperature=0.0, max_tokens=8)
        next(arrived)
        assert ours(before)
        start = time.monotonic()
        arrived.close()
        assert time.monotonic() - start < 20
        assert len(list(read)) > 900  # the rest was never read
        assert not ours(before)
        held.set()


def test_what_the_reader_of_media_raises_reaches_the_caller():
    def broken() -> Iterator[ChatRequest]:
        yield from questions(2)
        raise OSError("disk on fire")

    with serving(echo) as seen, pytest.raises(OSError, match="disk on fire"):
        asked(seen.config(), broken())
