"""Why a request got no answer, and whether another attempt may fare better."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from evaluation.probing.keys import quoted
from evaluation.probing.replies import NoAnswer, parsed
from untrusted.servers import Broken, Overdue, Reply, Unreachable, Unusable

HOPELESS = (*range(300, 400), 401, 402, 404, 429)
"""Statuses that every request would meet; a rate limit is one once waiting did not help."""

PASSING = (408, 409, 429, *range(500, 600))
"""Statuses of which another attempt may get another."""

RESTARTING = (502, 503, 529)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What came of a request in place of an answer."""

    said: str
    """In words for people, without the key."""

    status: int | None = None
    unreachable: bool = False
    broken: bool = False
    passing: bool = False
    """Another attempt may fare better."""

    spent: bool = False
    """A rate limit that no waiting lifts: the account is empty."""

    seedless: bool = False
    """The server may take the question without a seed."""

    pause: float = 0.0
    """Seconds for which the server asks to be left alone."""


def failed(error: NoAnswer | Unusable | Overdue | Broken | Unreachable, key: str) -> Trouble:
    """Tell of a request without a reply, or with one that is no answer."""
    return Trouble(
        said=quoted(str(error), key),
        unreachable=isinstance(error, Unreachable),
        broken=isinstance(error, Broken),
        passing=isinstance(error, Overdue | Broken | Unreachable),
    )


def refused(reply: Reply, key: str) -> Trouble:
    """Tell of a reply whose status is no success."""
    words, pause = _words(reply), retry_after(reply.headers)
    spent = _code(reply) == "insufficient_quota"
    later = f" (asks to be left alone for {pause:,.0f} s)" if pause else ""
    return Trouble(
        said=f"Error code: {reply.status} - {quoted(words, key)}{later}",
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
    """Read the word by which a server names its error, where it has one."""
    try:
        error = parsed(reply.body)
    except NoAnswer:
        return None
    error = error.get("error", error) if isinstance(error, dict) else None
    word = error.get("code") if isinstance(error, dict) else None
    return word if isinstance(word, str) else None


def retry_after(headers: Mapping[str, str]) -> float:
    """Read for how many seconds a server asks to be left alone; 0 where it says nothing clear."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", said):
        return float(said)
    try:
        until = parsedate_to_datetime(said)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):  # no date
        return 0.0
