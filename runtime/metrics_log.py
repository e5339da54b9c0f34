"""Rows of a run, one JSON object a line, and how a resumed run drops those that it logs again."""

import json
from collections.abc import Mapping
from pathlib import Path

from runtime.writing import append, write_bytes
from untrusted.json_text import json_of


def append_jsonl(path: Path, row: Mapping[str, object]) -> None:
    """Append one row, in one write, so that a kill tears at most the last line."""
    append(path, json.dumps(row, ensure_ascii=False).encode() + b"\n")


class MetricsLog:
    """The rows of a run, one JSON object a line; floats are read back bit for bit."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, step: int, values: Mapping[str, object]) -> None:
        """Write a row and hand it to the kernel, which keeps it if this process is killed."""
        append_jsonl(self.path, {"step": step, **values})

    def truncate_after(self, step: int) -> None:
        """Drop what a resumed run logs again: rows after its checkpoint, and a torn last line."""
        if not self.path.exists():
            return
        *lines, _torn = self.path.read_bytes().split(b"\n")  # b"" where the last line is whole
        kept = [line for number, line in enumerate(lines, 1) if self._step(line, number) <= step]
        write_bytes(self.path, b"".join(line + b"\n" for line in kept))

    def _step(self, line: bytes, number: int) -> int:
        """Read which step a row is of."""
        try:
            step = json_of(line)["step"]
            if type(step) is int:
                return step
            reason = f"its step is {step!r}"
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            reason = str(error) or type(error).__name__
        raise ValueError(
            f"{self.path}:{number} is damaged ({reason}), but every line is a row with its step: "
            "mend or delete the line, and repeat the command."
        )
