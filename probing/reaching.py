"""Look whether an endpoint is there at all, before its client tries again and again."""

import asyncio
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

PORTS = {"http": 80, "https": 443}
PATIENCE = 10.0
"""Seconds in which a connection is made, or none will be."""


async def reach(url: str) -> None:
    """Open a connection to a server and close it; a `ValueError` if that cannot be done.

    Behind a proxy nothing is tried, since that is who reaches it.
    """
    parts = urlsplit(url)
    host, scheme = parts.hostname or "", parts.scheme
    if scheme in getproxies() and not proxy_bypass(host):
        return
    try:
        there = asyncio.open_connection(host, parts.port or PORTS.get(scheme))
        _, writer = await asyncio.wait_for(there, PATIENCE)
    except OSError as error:  # a time-out is one, too
        why = str(error) or f"no connection within {PATIENCE:.0f} s"
        raise ValueError(
            f"{url} cannot be reached ({why}), but questions are asked of a server that is up: "
            "start it, or check probe.server.url; the same command then asks what is missing."
        ) from error
    writer.close()
