"""Where requests go: to the address that was given."""

import asyncio
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from configs.probing import ServerConfig
from evaluation.probing import openai_client as remote
from evaluation.probing.troubles import retry_after
from tests.evaluation.probing.test_openai_client import asked, questions
from tests.hostile_server import completion, http, misbehaving
from untrusted import servers as reaching
from untrusted.servers import is_loopback, proxied, reach, unreachable

WHOLE = http(completion())


@pytest.mark.parametrize("place", ["{}/chat/completions", "/v1/chat/completions", "//x/"])
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
def test_no_redirect_is_followed(status, place):
    """To another host or to the same one: neither question nor key goes there."""
    with misbehaving(lambda _, to: to.sendall(WHOLE)) as elsewhere:
        place = place.format(elsewhere.url)
        moved = http("", f"location: {place}", status=f"{status} Moved")
        stopped = pytest.raises(
            ValueError, match=r"does not answer for model .* make it probe\.server\.url"
        )
        with misbehaving(lambda _, to: to.sendall(moved)) as seen, stopped as caught:
            asked(seen.config(retries=3), questions(9))
        assert len(seen.bodies) <= 8
        assert f"Error code: {status} - a redirect to {place}, which is not" in str(caught.value)
    assert elsewhere.bodies == []


def test_no_cookie_is_kept():
    reply = http(completion(), "set-cookie: a=b; path=/", "set-cookie: c=d")
    with misbehaving(lambda _, to: to.sendall(reply)) as seen:
        assert len(asked(seen.config(), questions(20))) == 20
    assert not any("cookie" in head.lower() for head in seen.heads)


def test_replies_are_asked_for_unpacked():
    with misbehaving(lambda _, to: to.sendall(WHOLE)) as seen:
        asked(seen.config(), questions(1))
    assert "accept-encoding: identity" in seen.heads[0].lower()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_server_on_this_machine_is_asked_past_every_proxy(monkeypatch, name):
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    with misbehaving(lambda _, to: to.sendall(WHOLE)) as seen:
        assert len(asked(seen.config(), questions(2))) == 2
    assert not proxied(seen.url) and proxied("http://elsewhere.invalid/v1")


@pytest.mark.parametrize("proxy", ["socks5://me:planted@h:1", "ftp://me:planted@h"])
def test_a_proxy_of_another_kind_is_told_without_its_password(monkeypatch, proxy):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789")
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(ValueError, match="or leave the server out with NO_PROXY") as caught:
        asked(ServerConfig(url="http://elsewhere.invalid/v1", model="m"), questions(1))
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    with misbehaving(lambda _, to: to.sendall(WHOLE)) as seen:
        assert len(asked(seen.config(), questions(2))) == 2


def test_a_proxy_gets_what_is_asked_of_other_hosts(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789")
    with misbehaving(lambda _, to: to.sendall(WHOLE)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        config = ServerConfig(url="http://elsewhere.invalid/v1", model="m", retries=0)
        assert len(asked(config, questions(1))) == 1
        monkeypatch.setenv("no_proxy", "elsewhere.invalid")
        assert not proxied(config.url)
    assert proxy.heads[0].startswith("POST http://elsewhere.invalid/v1/chat/completions")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "LOCALHOST"])
def test_this_machine_is_known_by_its_names(host):
    assert is_loopback(f"http://{host}:1/v1")
    assert not is_loopback(f"http://{host}.example.com/v1".replace("[::1].", "x."))


def test_a_server_is_reached_by_its_longer_address():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
            url = f"http://[::1]:{listening.getsockname()[1]}/v1"
            assert unreachable(url, 5) is None
    except OSError:
        pytest.skip("this machine has no IPv6")


@contextmanager
def encrypted(folder: Path) -> Iterator[str]:
    """Serve encryption with a certificate that nobody vouches for."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run([*made, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with suppress(OSError):
                connection, _ = listening.accept()
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}/v1"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_certificate_that_nobody_vouches_for_is_told_at_once(tmp_path):
    with encrypted(tmp_path) as url, pytest.raises(ValueError) as caught:
        asked(ServerConfig(url=url, model="m", retries=60), questions(3))
    assert re.search(r"cannot be reached \(.*certificate verify failed", str(caught.value))


def test_a_server_without_encryption_is_told_at_once():
    with misbehaving(lambda _, to: to.sendall(WHOLE)) as seen:
        config = ServerConfig(url=seen.url.replace("http", "https"), model="m", retries=60)
        with pytest.raises(ValueError, match=r"cannot be reached \("):
            asked(config, questions(3))


def test_who_says_nothing_while_encryption_begins_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(reaching, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        began = time.monotonic()
        with pytest.raises(ValueError, match="cannot be reached"):
            asyncio.run(reach(f"https://127.0.0.1:{listening.getsockname()[1]}/v1"))
        assert time.monotonic() - began < 9  # seconds of reaching.PATIENCE, as it is


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        *((given, 0.0) for given in ("", "soon", "-5", "1e18", "²", "٣", "nan", "inf", "0x10")),
        *((given, 0.0) for given in ("1,5", "9" * 4000, "1 2", "Wed, 99 Foo 2026")),
        *((f"Wed, {date}", 0.0) for date in ("3 Apr 2002 12.34", "21 Oct 2015 07:28:00 GMT")),
        *(("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("1.5", 1.5), ("999999999", 999999999.0)),
    ],
)
def test_a_wait_is_read_as_what_it_is(said, seconds):
    assert retry_after({"retry-after": said}) == seconds


@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_a_date_is_a_wait_until_then(zone):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=3600), usegmt=True)
    said = soon.replace("GMT", zone)
    assert retry_after({"retry-after": said}) == pytest.approx(3600, abs=120)


@pytest.mark.parametrize("said", ["²", "1e18", "-1", "nan", "soon"])
def test_a_wait_that_is_none_ends_nothing(said):
    replies = iter([http("", f"retry-after: {said}", status="429 Slow"), WHOLE])
    with misbehaving(lambda _, to: to.sendall(next(replies))) as seen:
        assert asked(seen.config(retries=1), questions(1)) == {"s0": ["yes"]}


def test_a_wait_of_years_is_told_and_not_waited():
    reply = http("slow down", "retry-after: 99999999", status="429 Slow")
    stopped = pytest.raises(ValueError, match=r"429 - slow .* left alone for 99,999,999 s\)")
    began = time.monotonic()
    with misbehaving(lambda _, to: to.sendall(reply)) as seen, stopped:
        asked(seen.config(), questions(9))
    assert time.monotonic() - began < 30


def hang_up(_: socket.socket) -> None:
    """Say nothing."""


def reset(connection: socket.socket) -> None:
    """Take back the connection in the middle of the body."""
    connection.sendall(WHOLE[:-20])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("breaks", [hang_up, reset])
def test_a_question_that_breaks_every_connection_is_one_question(monkeypatch, breaks):
    """Behind a first answer a lost connection is waited for; not by one question for ever."""
    monkeypatch.setattr(remote, "TRIALS", 1)

    def behave(body, connection) -> None:
        bad = body["messages"][0]["content"] == "question 5"
        breaks(connection) if bad else connection.sendall(WHOLE)

    with misbehaving(behave) as seen:
        found = asked(seen.config(concurrency=2), questions(30))
    assert found.keys() == {f"s{number}" for number in range(30)} - {"s5"}
