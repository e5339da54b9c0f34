"""Cache the answers of checkpoints, so that none is generated twice.

    <data.root>/<benchmark.cache>/<key>/facts.json              what the key stands for
                                        <number>-<uuid>.jsonl   an answer a line

Every process appends to a file of its own, each line in one write: a kill tears the last line at
most, whose answer is generated again. Completions are kept, not verdicts, so that a better verifier
regrades old answers.
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

IN_FILES = {"prompt_hash": "besides", "completion": "said", "reader_verdict": "read"}
"""Fields whose names in files are other ones, which caches hold already."""


@dataclass(frozen=True, kw_only=True)
class AnswerKey:
    """One question as it is prompted, which identifies an answer."""

    content_hash: str
    id: str
    condition: Condition
    how: Replacement
    order: int
    """Which order of the options, see `orders.option_order`."""

    prompt_hash: str = ""
    """Digest of the rest of the prompt, which the content hash leaves out, such as the instruction
    below the options, or a transcript."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The prompt and the completion of one checkpoint."""

    prompt: str
    """The text as rendered, each medium one placeholder."""

    completion: str | None
    """None where the question could not be shown."""

    reader_verdict: Verdict | None = None
    """Of a description: the verdict on the reader's answer from it."""


def describe_key(folder: Path, facts: Mapping[str, object]) -> None:
    """Write down the facts that a key is made of."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    if not (folder / "facts.json").exists():
        write_text(folder / "facts.json", json.dumps(facts, indent=2, sort_keys=True) + "\n")


def new_file(folder: Path) -> Path:
    """Name a file that no other process writes and that sorts after existing ones, so that first
    answers stay first, whatever a clock says."""
    numbers = [int(file.name[:20]) for file in folder.glob("*-*.jsonl") if file.name[:20].isdigit()]
    return folder / f"{max(numbers, default=0) + 1:020d}-{uuid.uuid4().hex}.jsonl"


def append_answers(file: Path, answers: Mapping[AnswerKey, Answer]) -> None:
    """Add answers to this process's file, in one write."""
    pairs = [asdict(key) | asdict(answer) for key, answer in answers.items()]
    rows = [{IN_FILES.get(name, name): value for name, value in pair.items()} for pair in pairs]
    append(file, "".join(json.dumps(row) + "\n" for row in rows).encode())


def read_answers(folder: Path) -> dict[AnswerKey, Answer]:
    """Read all answers of one folder; the first answer to a question counts.

    A question that could not be shown once, and was answered later, is answered.
    """
    answers: dict[AnswerKey, Answer] = {}
    for file in sorted(folder.glob("*.jsonl")):
        try:
            content = read_regular(file, MOST_BYTES, linked=True)
        except PermissionError as error:  # another user keeps it to themselves
            log.warning("%s cannot be read (%s), and its questions are asked here", file, error)
            continue
        *lines, _torn = content.split(b"\n")  # b"" where the last line is whole
        for key, answer in _parsed(file, lines):
            if key not in answers or answers[key].completion is None:
                answers[key] = answer
    return answers


def _parsed(file: Path, lines: Iterable[bytes]) -> Iterable[tuple[AnswerKey, Answer]]:
    for number, line in enumerate(lines, start=1):
        try:
            row = json_of(line)
            for name, written in IN_FILES.items():
                row[name] = row.pop(written)
            verdict = row.pop("reader_verdict")
            answer = Answer(
                prompt=row.pop("prompt"),
                completion=row.pop("completion"),
                reader_verdict=None if verdict is None else Verdict(**verdict),
            )
            key = AnswerKey(**row)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{file}:{number} is damaged ({error}), but each line is one answer as a benchmark "
                "wrote it: delete the line, and its question is asked again."
            ) from error
        yield key, answer
