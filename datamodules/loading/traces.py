"""Join questions with the traces that a policy sampled for them, for imitation."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datamodules.sample import AnswerWith, Sample
from datamodules.sources.row_files import own_lines
from untrusted.json_text import json_of

QuestionKey = tuple[str, str]
"""Id and content hash: two questions may have the same content, and an id may change its
content."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One sampled completion that the filters kept, repaired where they repair."""

    id: str
    """Id of the question when it was asked."""

    content_hash: str
    """Content hash of the question when it was asked."""

    number: int
    """Number of the trace among those of the question, from 0."""

    completion: str
    answer_with: AnswerWith | None = None
    """How the options were named when it was sampled; None where that was not recorded."""


def read_traces(path: Path) -> dict[QuestionKey, list[Trace]]:
    """Read the traces that were kept, by their question, in order.

    A truncated last line is skipped.
    """
    if not path.is_file():
        raise ValueError(
            f"There are no traces in {path}, but they are what is imitated: name the traces.jsonl "
            "of a stage=distill run with sft.traces, or leave it out to imitate the manifest's "
            "completions."
        )
    kept: dict[QuestionKey, list[Trace]] = defaultdict(list)
    for number, line in enumerate(own_lines(path), start=1):
        torn = not line.endswith(b"\n")
        trace = _parse(line, f"{path}:{number}", torn=torn) if line.strip() else None
        if trace is not None:
            kept[trace.id, trace.content_hash].append(trace)
    return dict(kept)


def check_option_naming(traces: Mapping[QuestionKey, list[Trace]], answer_with: AnswerWith) -> None:
    """Raise where traces name options otherwise than they are shown now."""
    named = {trace.answer_with for own in traces.values() for trace in own} - {None}
    if strangers := sorted(named - {answer_with}, key=str):
        raise ValueError(
            f"the traces were sampled with model.answer_with={strangers[0]}, but it is "
            f"{answer_with} now, and what is imitated has to name options as they are shown: set "
            "it as it was, or sample again with stage=distill."
        )


def with_traces(
    samples: Sequence[Sample], traces: Mapping[QuestionKey, list[Trace]]
) -> list[Sample]:
    """Make one sample of each trace, in the order of the questions; drop those without."""
    found = [
        replace(sample, id=f"{sample.id}#{trace.number}", completion=trace.completion)
        for sample in samples
        for trace in traces.get((sample.id, sample.content_hash), ())
    ]
    if not traces:
        raise ValueError(
            "not one trace was kept, and there is nothing to imitate: `dropped` in traces.jsonl "
            "says why of each. Loosen distill.rejection_sampling.difficulty, only_correct or "
            "another filter, or raise distill.rejection_sampling.limit or samples."
        )
    if not found:
        first = f" (first: {samples[0].id!r})" if samples else ""
        raise ValueError(
            f"none of {len(samples)} questions{first} has one of the traces of {len(traces)} "
            "questions, but only what has a trace is imitated: were they sampled to other "
            "questions, or does data.contribution keep others now? Name their data.train, or "
            "sample again with stage=distill."
        )
    return found


def _parse(line: bytes, place: str, *, torn: bool) -> Trace | None:
    """Parse a row; None where it was not kept, or is truncated."""
    try:
        row = json_of(line)
        wanted = {"id": str, "content_hash": str, "number": int, "completion": str, "kept": bool}
        if wrong := [name for name, kind in wanted.items() if not isinstance(row[name], kind)]:
            raise TypeError(f"{wrong[0]} is {row[wrong[0]]!r}")
    except (ValueError, KeyError, TypeError) as error:
        if torn:
            return None
        raise ValueError(
            f"{place} is no trace ({type(error).__name__}: {error}), but each line is an object "
            "with id, content_hash, number, completion and kept: mend it, or let stage=distill "
            "write the file again."
        ) from error
    if not row["kept"]:
        return None
    return Trace(
        id=row["id"],
        content_hash=row["content_hash"],
        number=row["number"],
        completion=row["completion"],
        answer_with=row.get("answer_with"),
    )
