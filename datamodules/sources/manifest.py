"""Read the project's own manifests: one question per line of JSON.

    {"id": "q1", "question": "What barks?", "options": ["a cat", "a dog"], "answer": "a dog",
     "media": [{"modality": "audio", "path": "clips/1.flac", "start": 2.5, "end": 6.0}]}

Optional are options, answer_type (told from the options or the answer where possible), tolerance,
media and their start, end and role, completion, evidence, source (the manifest's name) and asset_id
(the first medium).
A row that breaks a rule goes to quarantine with its number and a reason, and the rest are read.
"""

import json
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

from datamodules.media import MediaError, content_hash, file_digest, resolve
from datamodules.quarantine import Quarantine
from datamodules.sample import ANSWER_TYPES, LETTERS, MODALITIES, AnswerType, Media, Role, Sample
from datamodules.sources.answers import NUMBER, Reason, RowError, canonical_answer, written

Row = Mapping[str, object]

ROW_FIELDS = (
    *("id", "question", "options", "answer", "answer_type", "tolerance"),
    *("media", "completion", "evidence", "source", "asset_id"),
)
MEDIA_FIELDS = ("modality", "path", "start", "end", "role")
ROLES = get_args(Role)


def read_manifest(
    path: Path, root: Path, quarantine: Quarantine, *, taken: Container[str] = ()
) -> list[Sample]:
    """Read the good rows of a manifest in their order, and quarantine the others.

    Whether too many are bad is for the caller to `check`, who knows how many there are in all.

    Args:
        taken: ids that rows of other manifests have.
    """
    if not path.is_file():
        raise ValueError(
            f"There is no manifest {path}, but questions are read from one: write it there, one "
            "JSON object per line, or name another directory with data.root=..."
        )
    samples: dict[str, Sample] = {}
    with path.open("rb") as file:  # bytes, so that one line that is not UTF-8 is one bad row
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            sample_id = ""
            try:
                row = _parse(line)
                sample_id = _text(row, "id", "missing_id")
                if sample_id in samples or sample_id in taken:
                    raise RowError(
                        "duplicate_id",
                        f"{sample_id!r} is the id of an earlier row too, but scores are kept by "
                        "id: give each row its own.",
                    )
                samples[sample_id] = to_sample(row, root=root, source=path.stem)
            except RowError as error:
                quarantine.add(sample_id, error.reason, str(error), f"{path}:{number}")
            except MediaError as error:
                quarantine.add(sample_id, error.kind, str(error), f"{path}:{number}")
    return list(samples.values())


def to_sample(row: Row, *, root: Path, source: str) -> Sample:
    """Turn a row into a sample, or raise a `RowError` or `MediaError` that says why not.

    Args:
        source: what the row's `source` is where it names none.
    """
    _known(row, ROW_FIELDS)
    question = _text(row, "question", "missing_question")
    options = _options(row)
    if row.get("answer") in (None, "", []):
        raise RowError(
            "missing_answer", f"answer is {row.get('answer')!r}, but is what is scored: give one."
        )
    answer_type = _answer_type(row, options)
    answer = canonical_answer(row["answer"], options, answer_type)
    tolerance = _tolerance(row, answer_type)
    media = _media(row, len(options))
    sample_id = _text(row, "id", "missing_id")
    return Sample(
        id=sample_id,
        question=question,
        options=options,
        answer=answer,
        answer_type=answer_type,
        tolerance=tolerance,
        media=media,
        completion=_text(row, "completion", "malformed", default=""),
        evidence=_text(row, "evidence", "malformed", default=""),
        source=_text(row, "source", "malformed", default=source),
        asset_id=_text(row, "asset_id", "malformed", default=media[0].path if media else sample_id),
        content_hash=content_hash(
            question,
            options,
            answer,
            media,
            [_digest(root, item.path) for item in media],
            tolerance=tolerance,
        ),
    )


def _parse(line: bytes) -> Row:
    try:
        row = json.loads(line.decode("utf-8-sig"))
        json.dumps(row, ensure_ascii=False).encode()  # half a character, as in "\ud83d"
    except (ValueError, RecursionError) as error:
        raise RowError(
            "malformed", f"the row is not JSON in UTF-8 ({error}), but each line must be: mend it."
        ) from error
    if not isinstance(row, dict):
        raise RowError(
            "malformed",
            f"the row is a JSON {type(row).__name__}, but must be an object as in "
            '{"id": ..., "question": ..., "answer": ...}.',
        )
    return row


def _known(row: Row, fields: Sequence[str]) -> None:
    """Refuse fields that nobody reads: a misspelled `media` would leave a question without any."""
    strangers = [name for name in row if name not in fields]
    if strangers:
        raise RowError(
            "unknown_field",
            f"{strangers[0]!r} is not a field, but nothing in a row goes unread: choose from "
            f"{', '.join(fields)}.",
        )


def _text(row: Row, name: str, reason: Reason, *, default: str | None = None) -> str:
    value = row.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or (not value.strip() and default is None):
        raise RowError(reason, f"{name} is {value!r}, but must be a text that is not empty.")
    return value.strip()


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
            "remove them.",
        )
    return options


def _answer_type(row: Row, options: Sequence[str]) -> AnswerType:
    given, answer = row.get("answer_type"), row["answer"]
    if given is None and options:
        given = "choice"
    if given is None and not isinstance(answer, list):
        text = written(answer)
        given = "yes_no" if text.lower() in ("yes", "no") else None
        given = "number" if NUMBER.fullmatch(text) else given
    if given not in ANSWER_TYPES:
        raise RowError(
            "bad_answer_type",
            f"answer_type is {given!r}, but says how to score {answer!r}: choose from "
            f"{', '.join(ANSWER_TYPES)}.",
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
        modality=modality, path=_text(item, "path", "bad_media"), start=start, end=end, role=role
    )


def _seconds(item: Row, name: str) -> float | None:
    value = item.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise RowError("bad_media", f"{name} is {value!r}, but must be seconds, 0 or more.")
    return float(value)


def _digest(root: Path, path: str) -> str:
    try:
        return file_digest(resolve(root, path))
    except OSError as error:
        raise MediaError(
            f"{path!r} cannot be read ({error}), but its bytes are part of the question: mend its "
            "permissions or fetch it again.",
            path=path,
        ) from error
