"""Arms: ways of running the same steps that are compared, each with every seed.

    arms=[objective=gspo,objective=dr_grpo]                       settings, one an arm
    arms=[[],[objective=gspo,rlvr:optim.lr=1e-6]]                 several, of one step too; and none
    arms={gspo: [objective=gspo, optim.lr=1e-6], base: []}        arms with names of their own

It is a list or mapping of YAML, so that a word with a comma or bracket of its own is put in quotes.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from configs.checks import a_name
from configs.comparing import BEFORE
from configs.files import read_flow
from configs.names import GROUPS
from configs.words import split_words

Settings = Mapping[str, Any]
"""Dotted settings and names of groups; Any: values of every type that YAML knows."""

BASE = "base"
"""Label of an arm in which nothing is changed."""

CROSSED = ("seed", "stage", "run.name", "run.root")
"""Settings that an arm cannot have."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way of running the steps, with one seed."""

    label: str
    """Names what is compared over seeds."""

    seed: int
    everywhere: Settings = field(default_factory=dict)
    """Settings of all its steps; those that are shared belong to no arm."""

    of_step: Mapping[str, Settings] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name its directory."""
        return f"{self.label}-{self.seed}"


def read_arms(value: object) -> dict[str, dict[str, Any]]:
    """Read `arms=...`: the settings of each arm, `STEP:key` among them, by its label."""
    tree = value if isinstance(value, list | dict) else read_flow(str(value), "arms")
    if not (isinstance(tree, list | dict) and tree):
        raise ValueError(
            f"arms is {value!r}, but is a list of arms, or names with their settings: give "
            "arms=[objective=gspo,objective=dr_grpo], or arms={mine: [optim.lr=1e-6], base: []}."
        )
    named = tree if isinstance(tree, dict) else {}
    settings = [_settings(item) for item in (named.values() if named else tree)]
    labels = [str(name) for name in named] or labels_of(settings)
    for label, given in zip(labels, settings, strict=True):
        a_name("the name of an arm", label)
        if label == BEFORE:
            raise ValueError(
                f"an arm is called {label}, but so are the weights that all arms start from: "
                "choose another name."
            )
        if crossed := [key for key in CROSSED if key in given]:
            raise ValueError(
                f"arm {label} sets {crossed[0]}={given[crossed[0]]}, but all arms have the same "
                "stages, places and seeds: give seeds=[0,1,2], or run two commands and compare "
                "them with eval.py stage=compare."
            )
    if twice := [label for label, count in Counter(labels).items() if count > 1]:
        raise ValueError(
            f"arms has {twice[0]} twice, but the same way of running would be compared with "
            "itself: leave one out, or run it with several seeds=[0,1,2]."
        )
    return dict(zip(labels, settings, strict=True))


def _settings(item: object) -> dict[str, Any]:
    """Read the words of one arm; none of them, or `base`, change nothing."""
    words = [item] if isinstance(item, str) else item
    if words in (None, [""], [BASE]):
        words = []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(
            f"arms holds {item!r}, but an arm is a setting as on the command line, or a list of "
            "several: give [objective=gspo,optim.lr=1e-6], with quotes around a word that has a "
            "comma or a bracket of its own."
        )
    return split_words(words)


def labels_of(arms: Sequence[Settings]) -> list[str]:
    """Name arms by what they change: by the last part of each setting, where that tells them apart,
    and by the value alone of a group such as `objective`."""
    short, whole = ([_label(given, short=short) for given in arms] for short in (True, False))
    count = Counter(short)
    return [one if count[one] == 1 else other for one, other in zip(short, whole, strict=True)]


def _label(given: Settings, *, short: bool) -> str:
    """Write settings as one word that can be a file's name."""
    parts = []
    for key, value in given.items():
        last = re.split(r"[.:]", key)[-1]
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        name = "" if short and last in GROUPS else f"{last if short else key.replace(':', '-')}="
        parts.append(f"{name}{text}")
    return re.sub(r"[^\w.=-]+", "_", "-".join(parts)).strip("_") or BASE
