"""Store what probes counted, in files that no crash can corrupt.

    <root>/probe=<probe_key>/probe.json                             what the key stands for
                             part-<pid>-<uuid>-<checksum>.parquet   rows of counts

A shard is written once, under a unique name, and appears whole or not at all. Any number
of processes may write while others read, and while one makes a single shard of many. Scores are
found by content: a sample whose question, options, answer or media changed has a new hash, and no
scores yet.
"""

import hashlib
import json
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from configs.ablation import Condition, Replacement
from datamodules.contribution.probe_scores import earliest, encode, identities, read_shards
from datamodules.contribution.probe_shards import SCHEMA, checksum, warn_unread
from runtime.caching import read_regular
from runtime.writing import flush_directory, sweep, write_bytes, write_text
from untrusted.json_text import json_of

MOST_FACTS = 1 << 24
"""Largest size of a probe.json, in bytes."""


@dataclass(frozen=True, kw_only=True)
class ProbeRow:
    """What one probe answered to one sample under one condition: counts, never a verdict."""

    sample_id: str
    content_hash: str
    probe_key: str
    condition: Condition
    how: Replacement

    option_seed: int = 0
    """The order that the options were shown in; 0 is as written."""

    first: int = 0
    """Number of the first of these answers, among all to the same question in the same setting."""

    n: int
    n_correct: int

    n_unparsed: int
    """Answers that could not be parsed; they are among the n, and not among the correct."""

    option_logprobs: tuple[float, ...] | None = None
    """Of each option, numbered as written, where options were scored."""

    shard: str = "1/1"
    """The share of the work that the row belongs to, such as "3/8"."""

    time: float
    """Seconds since the epoch at which the row was scored."""

    def __post_init__(self) -> None:
        for name, value in (("content_hash", self.content_hash), ("probe_key", self.probe_key)):
            if len(value) != 32 or set(value) - set("0123456789abcdef"):
                raise ValueError(
                    f"{name} of {self.sample_id!r} is {value!r}, but it must be 32 lower-case "
                    "hexadecimal digits: take it from the sample, or from probe_key()."
                )
        if min(self.n_correct, self.n_unparsed) < 0 or self.n < max(
            1, self.n_correct + self.n_unparsed
        ):
            raise ValueError(
                f"{self.sample_id!r} has {self.n_correct} correct and {self.n_unparsed} unparsed "
                f"of {self.n} answers: they must add up to at most n, and n must be at least 1."
            )
        if self.first < 0 or any(map(math.isnan, self.option_logprobs or ())):
            raise ValueError(
                f"{self.sample_id!r} has first={self.first} and "
                f"option_logprobs={self.option_logprobs}, but answers are counted from 0 and "
                "log-probabilities are numbers: look for what the probe computed."
            )


def probe_key(
    *,
    model: str,
    weights_digest: str,
    prompt_template: str,
    decoding: Mapping[str, object],
    media_budget: Mapping[str, object],
    harness_version: str,
) -> str:
    """Name a probe by everything that can change its answers, so that no two share scores.

    Args:
        model: the name or path it was loaded from.
        weights_digest: of the weights in use, an adapter's included.
        decoding: all settings of sampling; `media_budget`: all limits on what it is shown.
        harness_version: of the code that asks and scores.
    """
    parts = {
        "model": model,
        "weights_digest": weights_digest,
        "prompt_template": prompt_template,
        "decoding": dict(decoding),
        "media_budget": dict(media_budget),
        "harness_version": harness_version,
    }
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write_shard(root: str | Path, rows: Sequence[ProbeRow]) -> Path:
    """Add the rows of one probe as one new file, durable once this returns."""
    keys = sorted({row.probe_key for row in rows})
    if len(keys) != 1:
        raise ValueError(
            f"A shard of {len(rows)} rows holds {len(keys)} probe keys ({', '.join(keys[:2])}), "
            "but it must hold exactly one: write a shard for each."
        )
    columns = {name: [vars(row)[name] for row in rows] for name in SCHEMA.names}
    columns["content_hash"] = [bytes.fromhex(row.content_hash) for row in rows]
    return add_table(root, keys[0], pa.table(columns, schema=SCHEMA))


def date_after_last(root: str | Path, rows: Sequence[ProbeRow]) -> list[ProbeRow]:
    """Date rows no earlier than the last that their probe wrote: clocks are set back, and of
    answers to the same question the earliest counts."""
    last = max(_folder(root, key).stat().st_mtime for key in {row.probe_key for row in rows})
    return [replace(row, time=max(row.time, last)) for row in rows]


def add_table(root: str | Path, key: str, table: pa.Table) -> Path:
    """Add rows that are already in columns, with the promises of `write_shard`.

    A cache is thousands of files with hundreds of rows. What usually makes Parquet small costs them
    half of the time it takes to read them, and saves little.
    """
    file = pa.BufferOutputStream()
    words = [field.name for field in SCHEMA if pa.types.is_dictionary(field.type)]
    pq.write_table(table, file, compression="lz4", use_dictionary=words, write_statistics=False)
    content = file.getvalue().to_pybytes()
    name = f"part-{os.getpid()}-{uuid.uuid4().hex}-{checksum(content)}.parquet"
    path = _folder(root, key) / name
    write_bytes(path, content)
    return path


def describe_probe(root: str | Path, key: str, facts: Mapping[str, object]) -> None:
    """Write down what a key stands for; saying the same again changes nothing."""
    path = _folder(root, key) / "probe.json"
    sweep(path.parent)
    text = json.dumps(dict(facts), indent=2, sort_keys=True, allow_nan=False) + "\n"
    if not path.exists():
        write_text(path, text)
    elif _facts(path) != json_of(text):
        raise ValueError(
            f"{path} describes another probe than {json.dumps(dict(facts))}, but a key stands for "
            "one probe only: give describe_probe() what probe_key() was given, or mend the file."
        )


def probes(root: str | Path) -> dict[str, dict[str, object]]:
    """List the probes that have a directory here, each with what `describe_probe` said of it."""
    folders = sorted(path for path in Path(root).glob("probe=*") if path.is_dir())
    return {path.name.removeprefix("probe="): _facts(path / "probe.json") for path in folders}


def find_probe(root: str | Path, name: str) -> str:
    """Return the key that a name is, or is the beginning of."""
    known = probes(root)
    found = [key for key in known if key.startswith(name)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{key} ({known[key].get('model', 'unknown')})" for key in found or known)
    raise ValueError(
        f"{len(found)} of the {len(known)} probes in {root} begin with {name!r}, but a name must "
        "fit exactly one: "
        + (f"choose from {listed}." if known else "run `python eval.py stage=probe` first.")
    )


def read_rows(root: str | Path, key: str | None = None) -> pa.Table:
    """Read all rows of one probe, or of all, each answer once, for inspection.

    This includes rows that count for no score because the answers before them are missing.
    """
    keys = probes(root) if key is None else [key]
    return pa.concat_tables([SCHEMA.empty_table(), *(_current_rows(root, key)[1] for key in keys)])


def compact(root: str | Path, key: str) -> Path | None:
    """Merge the shards of a probe into one; None where there are fewer than two.

    The new shard is durable before the old ones are deleted; in between, rows are there twice.
    Shards that others add meanwhile stay as they are.
    """
    shards, table = _current_rows(root, key)
    if len(shards) < 2:
        return None
    merged = add_table(root, key, table)
    for shard in shards:
        shard.unlink(missing_ok=True)
    return merged


def _current_rows(root: str | Path, key: str) -> tuple[list[Path], pa.Table]:
    """Read all rows but those superseded for good, sorted as readers need them."""
    shards, table = read_shards(root, key, SCHEMA.names)
    table = table.combine_chunks()
    _, content = encode(table["content_hash"])
    identity, _ = identities(table, content)
    return shards, table.take(pa.array(earliest(table, identity)))


def _folder(root: str | Path, key: str) -> Path:
    folder = Path(root) / f"probe={key}"
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        flush_directory(folder.parent)
    return folder


def _facts(path: Path) -> dict[str, object]:
    """Read the description of a probe; empty where there is none."""
    try:
        return dict(json_of(read_regular(path, MOST_FACTS, linked=True)))
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        warn_unread(path, str(error.strerror))
        return {}
    except (ValueError, TypeError, OSError) as error:  # no file, no text, no JSON, no mapping
        raise ValueError(
            f"{path} is damaged ({error}), but it must be the JSON that describe_probe() wrote: "
            "delete it, and the next probe under this key writes it again."
        ) from error
