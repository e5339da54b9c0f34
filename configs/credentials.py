"""Keys and passwords in settings: recognized by how they look, and refused.

Settings are written to `config.yaml`, printed, and sent to Weights & Biases, so none may hold a
key. Whoever needs one reads it from the environment, or from the files of its own library.

What is recognized: the forms of keys that are well known, a user or password in an address, and,
whatever it looks like, the value of an environment variable that is called a key.
"""

import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from omegaconf import OmegaConf
from omegaconf.resolvers import oc

USER = r"(\w://)[^/?#\s]*@"
"""Who asks, in an address, often with a password, and the slashes before."""

BARE = (
    r"(?<![\w.%+~-])[\w.%+~-]{0,99}:[^\s/\"']{1,300}@"
    r"(?=(?:[\w.-]{1,253}|\[[\da-fA-F:.]{2,45}\]):\d)"
)
"""The same without a scheme before it, as variables of proxies have it: the host has a port."""

KEYS = {
    "a Hugging Face token": r"\bhf_(?:(?=[a-z]*[A-Z\d])[A-Za-z\d]{12,}|[a-z]{30,})",
    "an API key": r"\b[spr]k[-_](?:ant|proj|or|svcacct|admin|live|test)[-_][\w-]{6,}"
    r"|\b(?:sk|gsk|pplx|xai|nvapi|r8|npm|pypi|tgp|dop|shpat|tskey)[-_]"
    r"[\w-]{0,80}?(?=[A-Za-z]{0,80}\d)[A-Za-z\d]{12}",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z\d]{12,}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z\d]{12,}|github_pat_\w{12,})",
    "a GitLab token": r"\bgl(?:pat|dt|rt|ft|ptt|cbt|imt|soat|agent)-[\w-]{8}",
    "a Slack token": r"\bx(?:ox[a-z]|app)-[\w-]{8,}",
    "a Google key": r"\b(?:AIza[\w-]{20,}|ya29\.[\w-]{12,}|GOCSPX-[\w-]{12,})",
    "a JSON web token": r"\beyJ[\w-]{4,999}\.[\w-]{4}",
    "a private key": r"BEGIN [A-Z\d ]{0,20}PRIVATE KEY|\bAGE-SECRET-KEY-",
    "a Weights & Biases key": r"\bwandb_v\d_\w{12}|wandb\W.{0,40}\b[\da-f]{40}\b"
    r"|\blocal-[\da-f]{40}\b",
    "a header with a key": r"\b(?i:bearer|basic)\s+(?=\S{0,80}\d|\S{20})[\w.~+/=-]{8}",
    "a user or password in an address": rf"{USER}|{BARE}"
    r"|//[^/?#\s@]*:(?!\d+(?:[/?#]|$))\S{0,300}@",
    "a key in the query of an address": r"[?&;#](?i:[\w-]*(?:key|token|secret|passw(?:or)?d|auth"
    r"|credential|signature)|pwd|sig)=[^&\s]",
    "a key by its name": r"(?i:(?:api|access|account|secret)[-_]?key|token|secret|passw(?:or)?d)"
    r"[\"']?\s*[=:]\s*[\"']?(?=\S{0,40}\d)[^\s\"',;]{8}",
}
"""What is recognized, in words, each with its expression."""

NAMED = re.compile(
    r"(?:^|_)(?:KEYS?|KEY_ID|TOKENS?|SECRETS?|PASS|PASSPHRASE|PAT|CREDENTIALS?|AUTH|COOKIE|JWT)"
    r"(?=_|\d|$)|APIKEY|ACCESSKEY|PASSW(?:OR)?D|(?:TOKEN|SECRET)$",
    re.IGNORECASE,
)
PLACED = re.compile(r"_(?:PATH|FILE|DIR|SOCK)$", re.IGNORECASE)
"""Names of environment variables that hold keys, unless they say where one is."""

SHORTEST = 8
"""Shorter values of such variables are found in ordinary words."""

WAY_OUT = (
    "settings are written to config.yaml, printed and shown by loggers: leave it out, and put the "
    "key into the environment variable from which its library reads it, such as HF_TOKEN, or the "
    "one that probe.server.key_variable names"
)


@cache
def is_called_key(name: str) -> bool:
    """Whether an environment variable holds a key, by its name."""
    return NAMED.search(name) is not None and PLACED.search(name) is None


def environment_keys() -> Iterator[tuple[str, str]]:
    """List the environment variables that hold keys."""
    for name, value in os.environ.items():
        if len(value.strip()) >= SHORTEST and is_called_key(name):
            yield name, value.strip()


def masked(text: str) -> str:
    """Leave keys of the environment, and passwords in addresses, out of what libraries say."""
    for _, value in environment_keys():
        text = text.replace(value, "***")
    return re.sub(BARE, "***@", re.sub(USER, r"\g<1>***@", text))


def key_in(text: str) -> str | None:
    """Kind of API key in a text, without the key; None where it holds none."""
    for what, shape in KEYS.items():
        if re.search(shape, text):
            return what
    for name, value in environment_keys():
        if value in text:
            return f"the value of the environment variable {name}"
    return None


def refuse_keys(where: str, text: str) -> None:
    """Refuse a text that holds a key, and do not repeat it."""
    if what := key_in(text):
        raise ValueError(f"{where} holds {what}, but {WAY_OUT}.")


# Any: what OmegaConf hands to a resolver and takes from it
def from_environment(name: Any, *default: Any) -> Any:
    """Look up `${oc.env:NAME}`, unless that is a key."""
    what = "a key by its name" if is_called_key(str(name)) else None
    value = None if what else oc.env(name, *default)
    what = what or (key_in(value) if isinstance(value, str) else None)
    if what:
        raise ValueError(f"the environment variable {name}, which it asks for, holds {what}")
    return value


OmegaConf.register_resolver("oc.env", from_environment, replace=True)
