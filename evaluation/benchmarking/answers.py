"""Keep what checkpoints answered, so that nothing is asked twice.

    <data.root>/<benchmark.cache>/<key>/facts.json              what the key stands for
                                        <number>-<uuid>.jsonl   an answer a line

Every process appends to a file of its own, each line in one write: a kill tears the last line at
most, and that one is asked again. Completions are kept, not verdicts, so that a better verifier
judges old answers anew.
"""

import json
import logging
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from configs.ablation import Condition, Replacement
from modules.verifiers.verify import Verdict
from runtime.caching import read_regular
from runtime.writing import append, sweep, write_text
from untrusted.json_text import json_of

log = logging.getLogger(__name__)

MOST_BYTES = 1 << 34
"""Of a file of answers."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question as it is put: what an answer is found by."""

    content_hash: str
    id: str
    condition: Condition
    how: Replacement
    order: int
    """Which order of the options, see `orders.option_order`."""

    besides: str = ""
    """Digest of what else is shown and is not in the content hash, such as the instruction below
    the options, or a transcript."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one checkpoint was shown, and said."""

    prompt: str
    """The text as rendered, each medium one placeholder."""

    said: str | None
    """None where the question could not be shown."""

    read: Verdict | None = None
    """Where descriptions are judged: what a reader made of this one."""


def describe_key(folder: Path, facts: Mapping[str, object]) -> None:
    """Write down what a key stands for."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    if not (folder / "facts.json").exists():
        write_text(folder / "facts.json", json.dumps(facts, indent=2, sort_keys=True) + "\n")


def new_file(folder: Path) -> Path:
    """Name a file that nobody else writes and that sorts behind those that are there, so that first
    answers stay first, whatever a clock says."""
    numbers = [int(file.name[:20]) for file in folder.glob("*-*.jsonl") if file.name[:20].isdigit()]
    return folder / f"{max(numbers, default=0) + 1:020d}-{uuid.uuid4().hex}.jsonl"


def append_answers(file: Path, answers: Mapping[Asked, Answer]) -> None:
    """Add answers to this process's file, in one write."""
    rows = [asdict(asked) | asdict(answer) for asked, answer in answers.items()]
    append(file, "".join(json.dumps(row) + "\n" for row in rows).encode())


def read_answers(folder: Path) -> dict[Asked, Answer]:
    """Read all that is known under one key; the first of several answers to the same stands.

    A question that could not be shown once, and was answered later, is answered.
    """
    found: dict[Asked, Answer] = {}
    for file in sorted(folder.glob("*.jsonl")):
        try:
            content = read_regular(file, MOST_BYTES, linked=True)
        except PermissionError as error:  # another user keeps it to themselves
            log.warning("%s cannot be read (%s), and its questions are asked here", file, error)
            continue
        *lines, _torn = content.split(b"\n")  # b"" where the last line is whole
        for asked, answer in _parsed(file, lines):
            if asked not in found or found[asked].said is None:
                found[asked] = answer
    return found


def _parsed(file: Path, lines: Iterable[bytes]) -> Iterable[tuple[Asked, Answer]]:
    for number, line in enumerate(lines, start=1):
        try:
            row = json_of(line)
            prompt, said, read = (row.pop(name) for name in ("prompt", "said", "read"))
            verdict = None if read is None else Verdict(**read)
            asked = Asked(**row)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{file}:{number} is damaged ({error}), but each line is one answer as a benchmark "
                "wrote it: delete the line, and its question is asked again."
            ) from error
        yield asked, Answer(prompt=prompt, said=said, read=verdict)
