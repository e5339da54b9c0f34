"""Validate a row of our own manifest, field by field, and make a sample of it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast, final, get_args

from configs.plugins import read_plugins
from datamodules.media.files import MediaError, content_hash, file_digest, resolve
from datamodules.media.paths import is_machine_error
from datamodules.sample import ANSWER_TYPES, LETTERS, MODALITIES, AnswerType, Media, Role, Sample
from datamodules.sources.adapter import Row
from datamodules.sources.answers.normalize import (
    Reason,
    RowError,
    canonical_answer,
    is_number,
    visible,
    written,
)
from datamodules.sources.bounds import refuse_long_texts

ROW_FIELDS = (
    *("id", "question", "options", "answer", "answer_type", "tolerance"),
    *("media", "completion", "evidence", "facts", "source", "asset_id"),
)
MEDIA_FIELDS = ("modality", "path", "start", "end", "role", "text")
ROLES = get_args(Role)

URL = re.compile(r"[a-z][a-z0-9+.-]*://|www\.", re.IGNORECASE)
"""The address where a question was found names no data set, and would make one of each question."""


@final
@dataclass(frozen=True, kw_only=True)
class RightOption:
    """The answer of a row whose adapter has determined which option is right.

    Written as a letter it could be the text of another option; as a text, that of two.
    """

    index: int
    """Of the option, from 0."""


def to_sample(
    row: Row, *, digest: Callable[[str], str], source: str, verifiers: Sequence[str] = ()
) -> Sample:
    """Turn a row into a sample, or raise a `RowError` or `MediaError`.

    Args:
        digest: gives the hash of the medium at a path, as `digests` does.
        source: default of the row's `source`.
        verifiers: `data.verifiers`, whose names are types of answers as well.
    """
    _known(row, ROW_FIELDS)
    refuse_long_texts(row)
    question = _text(row, "question", "missing_question")
    options = _options(row)
    if row.get("answer") in (None, "", []):
        raise RowError(
            "missing_answer", f"answer is {row.get('answer')!r}, but is what is scored: give one."
        )
    own = own_types(verifiers)
    answer_type = _answer_type(row, options, [*own])
    verifier = own.get(str(row.get("answer_type")), "")
    answer = _answer(row["answer"], options, answer_type)
    tolerance = _tolerance(row, answer_type)
    media = _media(row, len(options))
    _told_apart(answer, options, answer_type, media)
    sample_id = _text(row, "id", "missing_id")
    named = _text(row, "source", "malformed", default=source)
    return Sample(
        id=sample_id,
        question=question,
        options=options,
        answer=answer,
        answer_type=answer_type,
        tolerance=tolerance,
        verifier=verifier,
        media=media,
        completion=_text(row, "completion", "malformed", default=""),
        evidence=_text(row, "evidence", "malformed", default=""),
        facts=_facts(row) | ({"source_url": named} if URL.match(named) else {}),
        source=source if URL.match(named) else named,
        asset_id=_text(row, "asset_id", "malformed", default=media[0].path if media else sample_id),
        content_hash=content_hash(
            question,
            options,
            answer,
            media,
            [digest(item.path) for item in media],
            tolerance=tolerance,
            verifier=verifier,
        ),
    )


def own_types(verifiers: Sequence[str]) -> dict[str, str]:
    """Map the types of answers that functions of the user's own judge to these functions."""
    return {one.name: str(one) for one in read_plugins("data.verifiers", verifiers, ANSWER_TYPES)}


def _answer(given: object, options: Sequence[str], answer_type: AnswerType) -> str:
    if not isinstance(given, RightOption):
        return canonical_answer(given, options, answer_type)
    assert answer_type == "choice", f"an option is the answer to a {answer_type}"
    if given.index >= len(options):  # those at the end were empty
        raise RowError(
            "bad_answer",
            f"the answer is option {given.index + 1}, but there are {len(options)}: mend it.",
        )
    return LETTERS[given.index]


def _known(row: Row, fields: Sequence[str]) -> None:
    """Refuse unknown fields: a misspelled `media` would leave a question without any."""
    strangers = [name for name in row if name not in fields]
    if strangers:
        raise RowError(
            "unknown_field",
            f"{strangers[0]!r} is not a field, but nothing in a row goes unread: choose from "
            f"{', '.join(fields)}.",
        )


def _text(row: Row, name: str, reason: Reason, *, default: str | None = None) -> str:
    value = bare(row.get(name))
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or (not visible(value) and (value or default is None)):
        raise RowError(reason, f"{name} is {value!r}, but must be a text that is not empty.")
    return value.strip()


def bare(value: object) -> object:
    """Write a number as text: 76 and 76.0, as tables write it, are "76"."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return None if value != value else str(int(value) if whole else value)


def _options(row: Row) -> tuple[str, ...]:
    given = row.get("options") or []
    if not isinstance(given, list) or len(given) > len(LETTERS):
        raise RowError(
            "bad_options",
            f"options are {given!r}, but are a list of at most {len(LETTERS)} texts: there are "
            "letters for no more.",
        )
    options = tuple(written(option) for option in given)
    if options and all(map(str.startswith, options, (f"{letter}. " for letter in LETTERS))):
        raise RowError(
            "bad_options",
            f"options are {given}, but hold texts alone, since the prompt adds the letters: "
            "remove them, or read them with data.format=columns.",
        )
    return options


def _answer_type(row: Row, options: Sequence[str], own: Sequence[str]) -> AnswerType:
    """Determine the type; answers that are judged by a function of the user's own are texts."""
    given, answer = row.get("answer_type"), row["answer"]
    if given is None and options:
        given = "choice"
    if given is None and not isinstance(answer, list):
        text = written(answer)
        given = "yes_no" if text.lower() in ("yes", "no") else None
        given = "number" if is_number(text) else given
    if given in own:
        return "text"
    if given not in ANSWER_TYPES:
        raise RowError(
            "bad_answer_type",
            f"answer_type is {given!r}, but says how to score {answer!r}: choose from "
            f"{', '.join((*ANSWER_TYPES, *own))}, or name a verifier of your own in "
            "data.verifiers.",
        )
    if given == "choice" and len(options) < 2:
        raise RowError(
            "bad_options", f"{len(options)} options, but a choice has at least 2: add some."
        )
    return cast(AnswerType, given)  # `in ANSWER_TYPES` narrows nothing


def _tolerance(row: Row, answer_type: AnswerType) -> float:
    value = row.get("tolerance")
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise RowError(
            "bad_tolerance", f"tolerance is {value!r}, but is a distance of numbers, 0 or more."
        )
    if value and answer_type not in ("number", "regression"):
        raise RowError(
            "bad_tolerance",
            f"tolerance is {value}, but a {answer_type} is right or wrong: remove it, or set "
            "answer_type to number or regression.",
        )
    return float(value)


def _facts(row: Row) -> dict[str, str]:
    given = row.get("facts") or {}
    if not isinstance(given, dict) or not all(
        isinstance(text, str | int | float) for text in given.values()
    ):
        raise RowError("malformed", f"facts are {given!r}, but must be an object of texts.")
    return {str(name): str(text) for name, text in given.items()}


def _media(row: Row, options: int) -> tuple[Media, ...]:
    given = row.get("media") or []
    if not isinstance(given, list):
        raise RowError("bad_media", f"media is {given!r}, but must be a list of objects.")
    media = tuple(_medium(item) for item in given)
    shown = sum(item.role == "option" for item in media)
    if shown not in (0, options):
        raise RowError(
            "bad_media",
            f"{shown} media are options and there are {options} options, but the i-th belongs to "
            "the i-th: give one for each.",
        )
    return media


def _told_apart(
    answer: str, options: Sequence[str], answer_type: AnswerType, media: Sequence[Media]
) -> None:
    """Allow equal options, any of which is then right, unless media distinguish them."""
    same = answer_type == "choice" and options.count(options[LETTERS.index(answer)]) > 1
    if same and any(item.role == "option" for item in media):
        raise RowError(
            "bad_options",
            f"option {answer} is the answer and is written as another is, but each has a medium of "
            "its own, and answers are told by their texts: write them differently.",
        )


def _medium(item: object) -> Media:
    if not isinstance(item, dict):
        raise RowError("bad_media", f"{item!r} is no object, but a medium has modality and path.")
    _known(item, MEDIA_FIELDS)
    modality, role = item.get("modality"), item.get("role", "context")
    if modality not in MODALITIES or role not in ROLES:
        raise RowError(
            "bad_media",
            f"modality is {modality!r} and role {role!r}, but a medium is one of "
            f"{', '.join(MODALITIES)}, and its role one of {', '.join(ROLES)}.",
        )
    start, end = (_seconds(item, name) for name in ("start", "end"))
    if start is not None and end is not None and start >= end:
        raise RowError(
            "bad_media", f"the segment {start}..{end} s holds no time: start comes before end."
        )
    return Media(
        modality=modality,
        path=_text(item, "path", "bad_media"),
        start=start,
        end=end,
        role=role,
        text=_text(item, "text", "bad_media", default=""),
    )


def _seconds(item: Row, name: str) -> float | None:
    value = item.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise RowError("bad_media", f"{name} is {value!r}, but must be seconds, 0 or more.")
    return float(value)


def digests(root: Path, *, outside_root: bool = False) -> Callable[[str], str]:
    """Make the function that hashes the media of one manifest, each once however often it is shown.

    Args:
        outside_root: media may lie elsewhere than below `root`.
    """

    @lru_cache(maxsize=1 << 16)
    def digest(path: str) -> str:
        try:
            return file_digest(resolve(root, path, outside_root=outside_root))
        except OSError as error:
            if is_machine_error(error):
                raise
            raise MediaError(
                f"{path!r} cannot be read ({error}), but its bytes are part of the question: mend "
                "its permissions or fetch it again.",
                path=path,
            ) from error

    return digest
