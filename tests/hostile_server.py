"""A server on a loopback socket that answers with the bytes it is given, whatever they are."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from configs.probing import ServerConfig


@dataclass
class Seen:
    """Where the server is, and what it was sent."""

    url: str = ""
    heads: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def config(self, **settings: Any) -> ServerConfig:
        return ServerConfig(url=self.url, model="m", **{"retries": 0, "timeout": 20.0, **settings})


def completion(**changes: object) -> dict[str, Any]:
    """Give a reply of the right shape, with other fields in its only choice."""
    message = {"role": "assistant", "content": "yes"}
    choice = {"index": 0, "finish_reason": "stop", "message": message} | changes
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def message(**fields: object) -> dict[str, Any]:
    """The same with other fields in its message."""
    return completion(message={"role": "assistant", "content": "yes"} | fields)


def http(
    body: object, *lines: str, status: str = "200 OK", kind: str = "application/json"
) -> bytes:
    """Write a whole reply; what is neither text nor bytes is written as JSON."""
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    raw = raw if isinstance(raw, bytes) else raw.encode()
    head = (f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(raw)}", *lines)
    return "\r\n".join(head).encode() + b"\r\n\r\n" + raw


def _request(stream: Any) -> tuple[str, bytes] | None:
    """Read a request, as far as it is well formed; Any: what sockets call a file."""
    head = ""
    while (line := stream.readline().decode()) not in ("\r\n", ""):
        head += line
    lengths = [line for line in head.splitlines() if line.lower().startswith("content-length")]
    return (head, stream.read(int(lengths[0].split(":")[1]))) if lengths else None


@contextmanager
def misbehaving(behave: Callable[[dict[str, Any], socket.socket], None]) -> Iterator[Seen]:
    """Hand each request's body and its socket to `behave`; a connection ends with its reply."""
    seen = Seen()

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError), connection.makefile("rb") as stream:
            if (found := _request(stream)) is not None:
                seen.heads.append(found[0])
                seen.bodies.append(json.loads(found[1]))
                behave(seen.bodies[-1], connection)

    def listen() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    seen.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    threading.Thread(target=listen, daemon=True).start()
    try:
        yield seen
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
