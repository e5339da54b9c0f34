"""Chats of few turns, read as questions."""

from pathlib import Path

from datamodules.sample import Sample
from tests.datamodules.sources.published.test_training import rows


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def assistant(content: object, **more: object) -> dict[str, object]:
    return {"role": "assistant", "content": content, **more}


def one(root: Path, *turns: object, **columns: object) -> Sample:
    [sample], reasons = rows(root, {"messages": turns, **columns})
    assert not reasons
    return sample


def refused(root: Path, *turns: object, **columns: object) -> str:
    samples, reasons = rows(root, {"messages": turns, **columns})
    [reason] = reasons
    assert not samples
    return reason
