"""Read what a base model's own card says: its id on the hub, its license and its languages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

LARGEST = 1 << 16
"""Bytes of a card that are read; front matter stands at its beginning."""

FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---\r?(?:\n|\Z)", re.DOTALL)
LINE = re.compile(r"(\w+): *(.*?) *")
ITEM = re.compile(r" *- +(\S+) *")

SHAPES = {
    "license": re.compile(r"[\w.+-]{1,60}"),
    "license_name": re.compile(r"[\w.+ -]{1,80}"),
    "license_link": re.compile(r"https?://[\w./~%+-]{1,200}|LICENSE(?:\.\w{1,8})?"),
    "base_model": re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}"),
    "language": re.compile(r"[a-z]{2,3}|multilingual"),
    "tags": re.compile(r"[\w.:/-]{1,60}"),
}
"""What is taken over from a card, and what each may look like."""

OURS = "earwitness"
"""Tag of the cards that this project writes."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The weights that a training started from."""

    name: str
    """What people call them: an id on the hub, or the name of a directory or run."""

    id: str | None = None
    """On the hub; None where they are not known to be there."""

    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    language: tuple[str, ...] = ()


def origin_of(path: str, name: str) -> Origin:
    """Describe the weights of a directory or of the hub by the card that lies with them.

    An export of this project stands for what it was trained from: its card names that.

    Args:
        name: what people call a directory.
    """
    local = Path(path).is_dir()
    card = str(Path(path) / "README.md") if local else try_to_load_from_cache(path, "README.md")
    said = front_matter(Path(card)) if isinstance(card, str) else {}
    ours = OURS in said.get("tags", ())
    base = _one(said, "base_model") if ours else None
    return Origin(
        name=name if local else path,
        id=base if local else path,
        license=_one(said, "license"),
        license_name=_one(said, "license_name"),
        license_link=_one(said, "license_link"),
        language=said.get("language", ()),
    )


def front_matter(card: Path) -> Mapping[str, tuple[str, ...]]:
    """Read plain lines and lists of the front matter; whatever else stands there is passed over.

    No parser of YAML reads it, for anyone may have written it.
    """
    if not card.is_file():
        return {}
    with card.open("rb") as file:
        text = file.read(LARGEST).decode(errors="replace")
    found, values, key = FRONT.match(text), dict[str, tuple[str, ...]](), ""
    for line in found[1].splitlines() if found else ():
        if plain := LINE.fullmatch(line):
            key = plain[1]
            values[key] = _values(key, [plain[2]])
        elif item := ITEM.fullmatch(line):
            values[key] = values.get(key, ()) + _values(key, [item[1]])
        else:
            key = ""
    return {key: value for key, value in values.items() if value}


def _values(key: str, texts: list[str]) -> tuple[str, ...]:
    """Keep the values that look like what the key holds."""
    plain = (text.strip("'\"") for text in texts)
    return tuple(text for text in plain if key in SHAPES and SHAPES[key].fullmatch(text))


def _one(said: Mapping[str, tuple[str, ...]], key: str) -> str | None:
    """Return the only value of a key."""
    values = said.get(key, ())
    return values[0] if len(values) == 1 else None
