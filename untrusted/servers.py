"""HTTP requests with bounds on time and size; the one place that opens connections.

A connection goes where its address says and nowhere else: no redirect is followed, and no cookie
is kept. A proxy that the environment names is used, except for servers on this machine.
"""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from queue import Empty, SimpleQueue
from typing import TypeVar, final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from untrusted.terminal import first_line

PATIENCE = 10.0
"""Seconds that connecting may take."""

LARGEST = 2**22
"""Most bytes of a reply, several times what the longest completion takes."""

Result = TypeVar("Result")

PORTS = {"http": 80, "https": 443}


class Unreachable(Exception):
    """No connection can be made."""


class Broken(Exception):
    """A connection was made, and ended before the reply did, or carried something else."""


class Overdue(Exception):
    """The whole reply has not arrived in time."""


class Unusable(Exception):
    """The reply is larger than any answer, or packed, so that its size cannot be known."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A server's reply to one request."""

    status: int
    headers: Mapping[str, str]
    """By lower-case names."""

    body: bytes


@final
class Line:
    """Connections to one address, kept open between requests."""

    def __init__(self, url: str, headers: Mapping[str, str], *, seconds: float) -> None:
        """Prepare to send to an address.

        Args:
            seconds: from the first byte sent to the last byte of the reply.
        """
        self.url = url
        self.seconds = seconds
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        try:
            self.client = httpx2.AsyncClient(
                headers={"accept-encoding": "identity", "user-agent": "earwitness", **headers},
                follow_redirects=False,
                timeout=None,  # one deadline holds for all of a request instead
                limits=limits,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                # A client that is given its connections asks no proxy.
                transport=httpx2.AsyncHTTPTransport(limits=limits) if is_loopback(url) else None,
            )
        except (ImportError, ValueError, httpx2.InvalidURL):  # which may repeat a password
            raise ValueError(
                f"{url} would be asked through the proxy of this environment (HTTPS_PROXY, "
                "HTTP_PROXY or ALL_PROXY), but only http:// and https:// proxies can be: name one, "
                "or leave the server out with NO_PROXY."
            ) from None

    async def post(self, body: bytes) -> Reply:
        """Send a body and return the whole reply, whatever its status."""
        try:
            async with asyncio.timeout(self.seconds):
                return await self._exchange(body)
        except TimeoutError:
            raise Overdue(f"no whole reply within {self.seconds:g} s") from None
        except (httpx2.ConnectError, httpx2.ProxyError, httpx2.InvalidURL, OSError) as error:
            raise Unreachable(f"no connection: {first_line(error)}") from None
        except httpx2.RequestError as error:
            raise Broken(f"the connection broke off: {first_line(error)}") from None

    async def _exchange(self, body: bytes) -> Reply:
        async with self.client.stream("POST", self.url, content=body) as response:
            packed = response.headers.get("content-encoding", "identity").strip().lower()
            if packed != "identity":
                raise Unusable(f"a reply packed as {packed!r}, although none was asked for")
            whole = bytearray()
            async for chunk in response.aiter_raw():
                whole += chunk
                if len(whole) > LARGEST:
                    raise Unusable(f"a reply of more than {LARGEST:,} bytes")
        return Reply(status=response.status_code, headers=dict(response.headers), body=bytes(whole))

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()


async def reach(url: str) -> None:
    """Open a connection to a server and close it; a `ValueError` if that cannot be done.

    Behind a proxy nothing is tried, since the proxy connects.
    """
    if proxied(url):
        return
    if why := await asyncio.to_thread(unreachable, url, PATIENCE, encrypted=True):
        raise ValueError(
            f"{url} cannot be reached ({why}), but questions are asked of a server that is up: "
            "start it, or check probe.server.url; the same command then asks what is missing."
        )


def unreachable(url: str, seconds: float, *, encrypted: bool = False) -> str | None:
    """Reason why no connection can be made; None if one can.

    Args:
        encrypted: try TLS as well, where the address asks for it; not for callers with certificates
            of their own.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 443)

    def connect() -> None:
        # A third of the time for each address of a name, so that the next has its turn.
        with socket.create_connection((host, port), seconds / 3) as plain:
            if encrypted and parts.scheme == "https":
                context = httpx2.create_ssl_context()
                context.wrap_socket(plain, server_hostname=host).close()

    try:
        within(seconds, connect)
    except (OSError, UnicodeError) as error:
        return first_line(error)
    return None


def within(seconds: float, action: Callable[[], Result]) -> Result:
    """Run an action with a time limit, or raise a `TimeoutError`, even where it blocks in C.

    It runs in a thread of its own, which is left behind: nothing else ends a DNS look-up, or a
    library that waits for one byte after the other.
    """
    done: SimpleQueue[Result | Exception] = SimpleQueue()

    def attempt() -> None:
        try:
            done.put(action())
        except Exception as error:  # whatever it is, the caller raises it
            done.put(error)

    threading.Thread(target=attempt, daemon=True).start()
    try:
        result = done.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def proxied(url: str) -> bool:
    """Whether the environment names a proxy for an address."""
    parts, proxies = urlsplit(url), getproxies()
    named = parts.scheme in proxies or "all" in proxies
    return named and not is_loopback(url) and not proxy_bypass(parts.hostname or "")


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"
