"""Read tables of questions with arbitrary names of columns."""

import re
from collections.abc import Iterator, Mapping

from datamodules.sample import LETTERS
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.golds import LONE_SMALL, NUMBERED, WAYS, plain
from datamodules.sources.answers.lettering import Offered, split_options
from datamodules.sources.answers.normalize import NUMBER, RowError
from datamodules.sources.fields.columns import absent, answer_of, facts, offered
from datamodules.sources.fields.hints import ShownMedia, is_fact, is_prose, looks_like
from datamodules.sources.fields.marks import without_tags
from datamodules.sources.fields.media_columns import medium_of, named_media
from datamodules.sources.fields.printed import held_in
from datamodules.sources.fields.row import Fields, fields_of, shown_in, whole
from datamodules.sources.fields.segments import in_segments
from datamodules.sources.generic.question_text import open_question, parts_of
from datamodules.sources.rows import ROW_FIELDS

OPTION_LISTS = ("choices", "options", "candidates", "option", "alternatives")
OPTION_COLUMN = re.compile(
    r"(?P<stem>(?i:(?:answer[ _-]?)?(?:option|opt|op|choice|candidate|alternative|ending)s?"
    r"|a(?=[0-9])))?[ _-]?\(?(?:(?P<letter>[A-J]|[a-j])|(?P<number>[0-9]{1,2}))[.):]?"
)
"""How columns are called that hold an option each: option_a, choice1, opt_A, A, a, "A.", a0."""

FAMILY = re.compile(r"(?P<stem>.*?)[ _-]?\(?(?P<member>[A-J]|[a-j]|[0-9]{1,2})[.):]?")
"""How columns are called that hold one thing of several each."""

PARTED = re.compile(r"\s*[|;\n]\s*")
"""Separators of options in one cell."""

OWN = frozenset(ROW_FIELDS) - {"options", "answer", "media", "facts"}


def plain_columns(row: Row, place: Place) -> Iterator[Row]:
    """Read a table of questions: question, answer, options in a list or in columns, media by kind.

    Columns of our own manifest mean what they mean there, but for the letters that options may
    have. Other columns are facts, unless they look as if an answer depended on them, or hold more
    than a text, or prose; those stay unread.
    """
    fields = fields_of(row)
    options, answer = _options(fields), fields.get("answer")
    asked: dict[str, object]
    if options.texts:
        text = answer_of(answer, options, place.golds)
        asked = {"options": [*options.texts], "answer": text}
    elif isinstance(answer, list):
        asked = {"answer": whole(answer)}
    else:
        parts = parts_of(fields.get("question"), answer)
        if parts.chosen is None:
            _refuse_lost_options(fields, parts.answer)
        asked = open_question(parts)
    media = _media(fields, place)
    named = [name for name in OWN if not absent(fields.peek(name))]
    own = fields.get("facts")
    told = own if isinstance(own, Mapping) else {}
    taken = {name: fields[name] for name in named if name == "answer_type" or name not in asked}
    row = {**asked, **taken}
    if isinstance(question := row.get("question"), str):
        row["question"] = without_tags(question, media)
    yield {
        **row,
        "media": media,
        "facts": {
            **_others(fields, shown_in([{"media": media}])),
            **{str(name): told[name] for name in told},
        },
    }


def _options(row: Fields) -> Offered:
    """Read the options from the first list or the first columns that have them."""
    for name in OPTION_LISTS:
        if not absent(row.peek(name)):
            return offered(row[name])
    for names in _groups(row):
        if len(names) > 1:
            return Offered.named_by_letters(offered([row[name] for name in names]).texts)
    return Offered(texts=(), published=())


def _groups(row: Fields) -> list[list[str]]:
    """List names of columns with an option each, in order; a `RowError` where one is missing."""
    groups: dict[tuple[str, str], dict[int, str]] = {}
    for name in row:
        found = OPTION_COLUMN.fullmatch(name.strip())
        if found is None or (found["number"] and not found["stem"]):
            continue
        letter, stem = found["letter"], (found["stem"] or "").lower()
        place = int(found["number"]) if found["number"] else LETTERS.index(letter.upper())
        kind = "number" if found["number"] else "small" if letter.islower() else "capital"
        groups.setdefault((stem, kind), {})[place] = name
    for (_, kind), places in groups.items():
        filled = sorted(place for place in places if not absent(row.peek(places[place])))
        first = min(places) if kind == "number" and min(places) < 2 else 0
        if len(filled) > 1 and filled != [*range(first, first + len(filled))]:
            raise RowError(
                "bad_options",
                f"the options stand in {', '.join(places[place] for place in filled)}, but one "
                "before the last is missing or empty: fill it in, or rename the columns.",
            )
    return [[places[place] for place in sorted(places)] for places in groups.values()]


def _refuse_lost_options(row: Fields, answer: str) -> None:
    """Raise a `RowError` where the answer is one of some texts that are not recognized as
    options."""
    lone = LONE_SMALL.fullmatch(answer) is not None
    for name, texts, numbered in _several(row, facts=lone):
        alone = lone and answer.strip("()[].: ").upper() in LETTERS[: len(texts)]
        counted = numbered and NUMBERED.fullmatch(answer) and float(answer) <= len(texts)
        if alone or counted or plain(answer) in map(plain, texts):
            raise RowError(
                "bad_options",
                f"the texts of {name}, {str(texts)[:120]}, look like options with {answer[:80]!r} "
                "for the answer, but are not read: name them options, or drop them.",
            )


def _several(row: Fields, *, facts: bool) -> Iterator[tuple[str, list[str], bool]]:
    """List texts that stand together, in one unread column or in several of one name, with this
    name and whether it numbers them or gives them letters.

    Args:
        facts: whether columns that are facts by their names count.
    """
    families: dict[tuple[str, str], list[str]] = {}
    for name in row:
        value = held_in(row.peek(name))
        if name in row.taken or absent(value) or (is_fact(name) and not facts):
            continue
        texts = [*value.values()] if isinstance(value, Mapping) else value
        if isinstance(texts, str):
            listed = split_options(f"?\n{texts}")[1] or PARTED.split(texts)
            if len(listed) > 1 and not is_prose(listed[0]):
                yield name, listed, False
        if isinstance(texts, list) and len(texts) > 1 and all(isinstance(x, str) for x in texts):
            yield name, texts, False
        found = FAMILY.fullmatch(name.strip())
        if found is not None and isinstance(value, str):
            kind = "number" if found["member"].isdecimal() else "letter"
            families.setdefault((found["stem"], kind), []).append(name)
    for names in families.values():
        texts = [str(row.peek(name)) for name in names]
        if len(names) > 1 and not all(map(NUMBER.fullmatch, texts)):
            yield ", ".join(names), texts, True


def _media(row: Fields, place: Place) -> list[dict[str, object]]:
    """Read media from their columns; those that are written as in our own manifest stay so."""
    own = row.peek("media")
    if isinstance(own, list) and own and all(_is_own(item) for item in own):
        return [*map(dict, whole(row["media"]))]  # type: ignore[arg-type,call-overload] # just seen
    media = [medium_of(item, place, kind) for kind, item in named_media(row)]
    return in_segments(row, media)


def _is_own(item: object) -> bool:
    return isinstance(item, Mapping) and "modality" in item and "path" in item


def _others(row: Fields, shown: ShownMedia) -> dict[str, object]:
    """Keep unread columns that are mere facts."""
    return dict(
        facts(
            row,
            *(
                name
                for name in row
                if name not in row.taken
                and not isinstance(row.peek(name), Mapping | bytes)
                and not _objects(row.peek(name))
                and not is_prose(row.peek(name))
                and looks_like(name, row.peek(name), shown) is None
            ),
        )
    )


def _objects(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value)


COLUMNS: tuple[Format, ...] = tuple(
    Format(
        name="columns",
        fields=frozenset({"question", "answer", *options}),
        adapt=plain_columns,
        ways=WAYS,
        generic=True,
    )
    for options in ((), ("choices",), ("options",), ("choice_a", "choice_b"))
)
