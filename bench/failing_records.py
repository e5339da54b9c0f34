"""What a run leaves, each written twice, for `python -m bench.failing`."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from configs.load import load_config
from configs.schema import Config
from datamodules.contribution import selection
from datamodules.contribution.probe_cache import ProbeRow, describe_probe, read_rows, write_shard
from datamodules.digits.build import write_items
from datamodules.digits.sounds import Sound
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.index.memo import memoized
from datamodules.sources.quarantine import Quarantine
from evaluation.benchmarking.answers import (
    Answer,
    AnswerKey,
    append_answers,
    describe_key,
    new_file,
    read_answers,
)
from runtime.metrics_log import MetricsLog
from runtime.runs import open_run
from runtime.writing import write_text

KEY = "0123456789abcdef" * 2
LONG = "x" * 9_000
"""More than a page, so that a disk may take a part of it."""


@final
@dataclass(frozen=True, kw_only=True)
class Record:
    """One kind of file or directory that a run leaves."""

    name: str
    write: Callable[[Path, int], None]
    """Write the first or the second version into a directory."""

    read: Callable[[Path], object]
    """Read what is valid there."""

    kind: Literal["record", "cache"] = "record"
    """Whether a run stops where it cannot be written, or goes on without it."""


def settings(root: Path, name: str = "a") -> Config:
    """Give the settings of a run below a directory."""
    return load_config(["stage=rlvr", f"run.root={root}", f"run.name={name}"], ("rlvr",))


def _run(place: Path, version: int) -> None:
    with open_run(settings(place, f"{version}")) as run:
        run.finish()


def _run_state(place: Path) -> object:
    begun = {run.parent.name: run.read_text() for run in place.glob("*/config.hash")}
    told = {name: (place / name / "config.yaml").read_text() for name in begun}
    return begun, told, sorted(run.parent.name for run in place.glob("*/finished"))


def _rows(version: int) -> Iterator[dict[str, object]]:
    return ({"id": f"{number}-{version}", "band": LONG[:3000]} for number in range(3))


def _resumed(place: Path, version: int) -> None:
    log = MetricsLog(place / "metrics.jsonl")
    if version == 1:
        for step in range(1, 5):
            log.append(step, {"text": LONG})
    else:
        log.truncate_after(2)


def _probe(place: Path, version: int) -> None:
    rows = [
        ProbeRow(
            sample_id=f"a{number}" + LONG[:100],
            content_hash=f"{100 * version + number:032x}",
            probe_key=KEY,
            condition="no_audio",
            how="silent",
            n=3,
            n_correct=number % 3,
            n_unparsed=0,
            time=1.0,
        )
        for number in range(90)
    ]
    describe_probe(place, KEY, {"model": "tiny"})
    write_shard(place, rows)


def _answers(place: Path, version: int) -> None:
    describe_key(place / KEY, {"model": "tiny"})
    asked = AnswerKey(content_hash=KEY, id=f"{version}", condition="full", how="absent", order=0)
    append_answers(new_file(place / KEY), {asked: Answer(prompt=LONG, completion="yes")})


def _index(place: Path, version: int) -> None:
    """Read a manifest outside of the disk, of which the index lies on it."""
    manifest = place.parent.parent / f"manifest-{version}.jsonl"
    rows = [
        {"id": f"{n}", "question": f"{n}?", "answer": "yes", "answer_type": "text", "media": []}
        for n in range(200)
    ]
    if not manifest.exists():
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = open_samples(manifest, place, Quarantine(max_bad_share=0.0), above=0)
    assert [sample.question for sample in samples] == [row["question"] for row in rows]
    assert memoized(samples, "odd", lambda all_: {1: "odd"} if len(all_) == len(rows) else {})


def _sounds(place: Path, version: int) -> None:
    name = "beep" if version else ""
    write_items(place, [Sound(path=f"{version}.wav", asset=name, seed=version, name="beep")])


def _texts(place: Path) -> object:
    """Read every file that has its own name already."""
    files = (file for file in sorted(place.rglob("*")) if file.is_file() and file.suffix != ".tmp")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


RECORDS = (
    Record(name="run directory", write=_run, read=_run_state),
    Record(
        name="metrics.jsonl",
        write=lambda place, n: MetricsLog(place / "metrics.jsonl").append(n, {"text": LONG}),
        read=_texts,
    ),
    Record(name="metrics.jsonl, resumed", write=_resumed, read=_texts),
    Record(
        name="quarantine.jsonl",
        write=lambda place, n: Quarantine(max_bad_share=1.0, run_dir=place).add(
            f"{n}", "missing", LONG, "a.wav"
        ),
        read=_texts,
    ),
    Record(
        name="selection.jsonl",
        write=lambda place, n: selection._write(place / "selection.jsonl", _rows(n)),
        read=_texts,
    ),
    Record(
        name="results, reports, views",
        write=lambda place, n: write_text(place / "results.json", f"{n}{LONG}"),
        read=_texts,
    ),
    Record(
        name="probe cache",
        write=_probe,
        read=lambda place: sorted(read_rows(place, KEY)["sample_id"].to_pylist()),
    ),
    Record(
        name="benchmark answers",
        write=_answers,
        read=lambda place: sorted(asked.id for asked in read_answers(place / KEY)),
    ),
    Record(name="digits", write=_sounds, read=_texts),
    Record(name="index of a manifest", kind="cache", write=_index, read=lambda place: None),
)
"""What is written without torch."""


def with_torch(tiny: str) -> tuple[Record, ...]:
    """List what is written with torch.

    Args:
        tiny: directory of the weights to export.
    """
    import torch  # noqa: PLC0415 - seconds that the rest does without

    from datamodules.prompts.encoder import PromptEncoder  # noqa: PLC0415
    from modules.policy.omni import OmniModel  # noqa: PLC0415
    from training.callbacks.checkpoint_archive import HELD  # noqa: PLC0415
    from training.callbacks.checkpoints import AtomicCheckpointIO, newest_valid  # noqa: PLC0415
    from training.run import save  # noqa: PLC0415
    from training.trace_cache import TraceCache, read_cached  # noqa: PLC0415

    encoder = PromptEncoder(tiny)
    policy = OmniModel.load(tiny, encoder.tokenizer)
    store = AtomicCheckpointIO()

    def checkpoint(place: Path, version: int) -> None:
        state = {name: kind() for name, kind in HELD.items()}
        state |= {"pytorch-lightning_version": "2.6.6", "global_step": version}
        state["state_dict"] = {"weight": torch.full((3_000,), float(version))}
        store.save_checkpoint(state, place / f"step-{version:08d}.ckpt")

    def newest(place: Path) -> object:
        found = newest_valid(place)
        return None if found is None else store.load_checkpoint(found)["global_step"]

    def export(place: Path, version: int) -> None:
        with torch.no_grad():
            next(policy.parameters()).fill_(version)
        save(policy, encoder, place / "export")

    def traces(place: Path, version: int) -> None:
        with TraceCache(place / "traces" / "key.jsonl", {"model": "tiny"}) as kept:
            row = {"id": f"{version}", "content_hash": KEY, "texts": [LONG], "finished": [True]}
            kept.add(json.dumps(row) + "\n")

    def traced(place: Path) -> object:
        read_cached(place / "traces" / "key.jsonl", [])  # raises where a line is torn
        return None

    return (
        Record(name="checkpoint", write=checkpoint, read=newest),
        Record(name="export", write=export, read=_texts),
        Record(name="cache of traces", kind="cache", write=traces, read=traced),
    )
