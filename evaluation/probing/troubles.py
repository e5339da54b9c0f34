"""Why a request failed, and whether to retry it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from evaluation.probing.keys import quoted
from evaluation.probing.replies import NoAnswer, parsed
from untrusted.servers import Broken, Overdue, Reply, Unreachable, Unusable

HOPELESS = (*range(300, 400), 401, 402, 404, 429)
"""Statuses that every request would get; a rate limit is one after waiting did not help."""

PASSING = (408, 409, 429, *range(500, 600))
"""Statuses to retry."""

RESTARTING = (502, 503, 529)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """The failure of one request."""

    text: str
    """For people, without the key."""

    status: int | None = None
    unreachable: bool = False
    broken: bool = False
    passing: bool = False
    """It may be retried."""

    spent: bool = False
    """The account is empty, so that waiting does not lift the rate limit."""

    seedless: bool = False
    """The server may accept the request without a seed."""

    pause: float = 0.0
    """Seconds that the server asks to wait."""


def failed(error: NoAnswer | Unusable | Overdue | Broken | Unreachable, key: str) -> Trouble:
    """Describe a request without a reply, or with one that is no answer."""
    return Trouble(
        text=quoted(str(error), key),
        unreachable=isinstance(error, Unreachable),
        broken=isinstance(error, Broken),
        passing=isinstance(error, Overdue | Broken | Unreachable),
    )


def refused(reply: Reply, key: str) -> Trouble:
    """Describe a reply with an error status."""
    words, pause = _words(reply), retry_after(reply.headers)
    spent = _code(reply) == "insufficient_quota"
    later = f" (asks to be left alone for {pause:,.0f} s)" if pause else ""
    return Trouble(
        text=f"Error code: {reply.status} - {quoted(words, key)}{later}",
        status=reply.status,
        passing=reply.status in PASSING and not spent,
        spent=spent,
        seedless=reply.status in (400, 422) and "seed" in words,
        pause=pause,
    )


def _words(reply: Reply) -> str:
    if 300 <= reply.status < 400:
        return (
            f"a redirect to {reply.headers.get('location', 'nowhere')}, which is not followed, "
            "since questions, media and the key would go there: if that is right, make it "
            "probe.server.url"
        )
    return reply.body[:4000].decode(errors="replace").strip()


def _code(reply: Reply) -> str | None:
    """Return the code of an error, if the reply has one."""
    try:
        error = parsed(reply.body)
    except NoAnswer:
        return None
    error = error.get("error", error) if isinstance(error, dict) else None
    word = error.get("code") if isinstance(error, dict) else None
    return word if isinstance(word, str) else None


def retry_after(headers: Mapping[str, str]) -> float:
    """Parse how many seconds a server asks to wait; 0 where that is unclear."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):  # no date
        return 0.0
