"""Whether a server can be asked: the key that it is sent, and a connection."""

import asyncio
import os

from configs.probing import ServerConfig
from untrusted.servers import is_loopback, reach

NO_KEY = "none"  # what a server that needs no key is sent


def check_server(server: ServerConfig) -> None:
    """Raise where a server has no key to be sent, or cannot be reached."""
    read_key(server)
    asyncio.run(reach(server.url))


def read_key(server: ServerConfig) -> str:
    """Read the key from the environment; a server on this machine may need none."""
    key = os.environ.get(server.key_variable, "").strip()
    if not key and is_loopback(server.url):
        return NO_KEY
    if not (key and key.isascii() and key.isprintable()):
        raise ValueError(
            f"The environment variable {server.key_variable} holds no key that could be sent to "
            f"{server.url}: set it to the key, or name another with probe.server.key_variable."
        )
    return key
