"""Scores survive crashes and crowds, and never meet another wording's sample."""

import dataclasses
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from datamodules.probe_cache import (
    SCHEMA,
    ProbeRow,
    counts,
    probe_key,
    probe_keys,
    read_rows,
    write_shard,
)

KEY, OTHER_KEY = "ab" * 16, "cd" * 16
SPAWN = multiprocessing.get_context("spawn")


def content(number):
    return f"{number:032x}"


def row(number=0, **changes):
    usual = {
        "sample_id": f"sample-{number}",
        "content_hash": content(number),
        "probe_key": KEY,
        "condition": "no_audio",
        "how": "silent",
        "n": 3,
        "n_correct": 2,
        "n_unparsed": 1,
        "option_seed": 0,
        "shard": "0/1",
        "time": 100.0,
    }
    return ProbeRow(**{**usual, **changes})


def heard(root, numbers, keys=(KEY,), condition="no_audio", how="silent"):
    """The (n_correct, n) of each of these contents."""
    hashes = [content(number) for number in numbers]
    found = counts(root, keys, hashes, condition=condition, how=how)
    return list(zip(found.n_correct.tolist(), found.n.tolist(), strict=True))


def test_a_row_comes_back_as_it_was_written(tmp_path):
    written = row(7, n=16, n_correct=5, n_unparsed=2, option_seed=2**40, time=1.5)
    path = write_shard(tmp_path, [written])
    assert path.parent.name == f"probe={KEY}"
    assert read_rows(tmp_path).to_pylist() == [dataclasses.asdict(written)]


def test_counts_follow_the_question_and_not_the_files(tmp_path):
    write_shard(tmp_path, [row(1, n_correct=1), row(2, n_correct=0)])
    write_shard(tmp_path, [row(3, n=5, n_correct=2)])
    assert heard(tmp_path, [3, 9, 1, 3]) == [(2, 5), (0, 0), (1, 3), (2, 5)]


def test_conditions_and_ways_of_withholding_are_kept_apart(tmp_path):
    write_shard(tmp_path, [row(1, n_correct=1), row(1, how="absent", n_correct=2)])
    write_shard(tmp_path, [row(1, condition="full", how="absent", n=1, n_correct=0, n_unparsed=0)])
    assert heard(tmp_path, [1]) == [(1, 3)]
    assert heard(tmp_path, [1], how="absent") == [(2, 3)]
    assert heard(tmp_path, [1], condition="full", how="absent") == [(0, 1)]
    assert heard(tmp_path, [1], condition="text_only") == [(0, 0)]


def test_option_orders_and_probes_add_up(tmp_path):
    write_shard(tmp_path, [row(1, n_correct=1), row(1, option_seed=5, n_correct=0)])
    write_shard(tmp_path, [row(1, probe_key=OTHER_KEY, n=4, n_correct=3)])
    assert heard(tmp_path, [1]) == [(1, 6)]
    assert heard(tmp_path, [1], keys=[KEY, OTHER_KEY]) == [(4, 10)]
    assert heard(tmp_path, [1], keys=[OTHER_KEY, OTHER_KEY]) == [(3, 4)]
    assert probe_keys(tmp_path) == [KEY, OTHER_KEY]


def test_a_changed_content_has_no_scores(tmp_path):
    write_shard(tmp_path, [row(1)])
    changed = content(1)[:-1] + "0"
    assert counts(tmp_path, [KEY], [changed], condition="no_audio", how="silent").n.tolist() == [0]


def test_of_two_scores_of_one_question_the_earlier_stands(tmp_path):
    """However the files are named: the same rows in other files give the same counts."""
    early, late = row(1, n_correct=2, time=50.0), row(1, n_correct=0, time=51.0)
    for name, shards in {
        "a": [[late], [early]],
        "b": [[early, late]],
        "c": [[early], [late]],
    }.items():
        for rows in shards:
            write_shard(tmp_path / name, [*rows, row(2, n_correct=1)])
        assert heard(tmp_path / name, [1, 2]) == [(2, 3), (1, 3)]
        assert read_rows(tmp_path / name).num_rows == 2


def test_scores_of_the_same_time_are_ranked_by_what_they_say(tmp_path):
    for number in range(6):
        rivals = [row(1, n_correct=2, shard="1/2"), row(1, n_correct=1, shard="0/2")]
        for rival in rivals if number % 2 else rivals[::-1]:
            write_shard(tmp_path / str(number), [rival])
        assert heard(tmp_path / str(number), [1]) == [(1, 3)]


def test_what_a_crash_left_is_passed_over(tmp_path):
    path = write_shard(tmp_path, [row(1)])
    path.with_name("part-1-torn.parquet.tmp").write_bytes(b"PAR1 and then the power went")
    assert heard(tmp_path, [1]) == [(2, 3)]
    assert read_rows(tmp_path).num_rows == 1


def test_a_folder_with_nothing_finished_has_no_probe(tmp_path):
    (tmp_path / f"probe={KEY}").mkdir()
    (tmp_path / f"probe={KEY}" / "part-1-torn.parquet.tmp").touch()
    assert probe_keys(tmp_path) == []
    assert probe_keys(tmp_path / "absent") == []
    assert heard(tmp_path, [1]) == [(0, 0)]
    assert heard(tmp_path, [1], keys=[]) == [(0, 0)]
    assert read_rows(tmp_path, KEY).schema == SCHEMA


def write_without_end(root):
    for number in range(1_000_000):
        write_shard(root, [row(number * 100 + i) for i in range(100)])


def write_some(root, first):
    for number in range(10):
        write_shard(root, [row(first + number)])


def test_a_killed_writer_leaves_whole_shards_only(tmp_path):
    writer = SPAWN.Process(target=write_without_end, args=(tmp_path,))
    writer.start()
    shards: list[Path] = []
    deadline = time.monotonic() + 60
    while len(shards) < 20 and time.monotonic() < deadline:
        shards = list(tmp_path.glob("probe=*/part-*.parquet"))
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    shards = list(tmp_path.glob("probe=*/part-*.parquet"))
    assert len(shards) >= 20
    assert all(pq.read_table(shard).num_rows == 100 for shard in shards)
    assert read_rows(tmp_path).num_rows == 100 * len(shards)
    assert heard(tmp_path, range(100 * len(shards))) == [(2, 3)] * 100 * len(shards)


def test_writers_do_not_get_in_each_others_way(tmp_path):
    writers = [SPAWN.Process(target=write_some, args=(tmp_path, first)) for first in (0, 10)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert heard(tmp_path, range(20)) == [(2, 3)] * 20
    assert len(list(tmp_path.glob("probe=*/part-*.parquet"))) == 20


def test_a_large_question_agrees_with_a_dictionary(tmp_path):
    generator = np.random.default_rng(4)
    expected: dict[int, list[int]] = {}
    for _ in range(5):
        numbers = generator.choice(400, size=200, replace=False).tolist()
        seed = int(generator.integers(1 << 50))
        rows = [row(i, n=9, n_correct=i % 8, option_seed=seed) for i in numbers]
        for one in rows:
            tally = expected.setdefault(int(one.content_hash, 16), [0, 0])
            tally[0] += one.n_correct
            tally[1] += one.n
        write_shard(tmp_path, rows)
    asked = generator.permutation(500).tolist()
    assert heard(tmp_path, asked) == [tuple(expected.get(i, (0, 0))) for i in asked]


IDENTITY = {
    "model": "assets/tiny",
    "weights_digest": "00",
    "prompt_template": "{question}",
    "decoding": {"temperature": 1.0, "top_p": 0.9},
    "media_budget": {"frames": 8},
    "harness_version": "1",
}


@pytest.mark.parametrize(
    "change",
    [
        {"model": "assets/other"},
        {"weights_digest": "01"},
        {"prompt_template": "{question} "},
        {"decoding": {"temperature": 1.0, "top_p": 0.91}},
        {"decoding": {"temperature": 1.0}},
        {"media_budget": {"frames": 9}},
        {"harness_version": "2"},
    ],
)
def test_whatever_changes_a_probe_changes_its_key(change):
    assert probe_key(**{**IDENTITY, **change}) != probe_key(**IDENTITY)


def test_the_key_does_not_depend_on_the_order_of_settings():
    swapped = {**IDENTITY, "decoding": {"top_p": 0.9, "temperature": 1.0}}
    assert probe_key(**swapped) == probe_key(**IDENTITY)
    assert len(probe_key(**IDENTITY)) == 32


def test_rows_that_cannot_be_true_are_refused():
    with pytest.raises(ValueError, match=r"'sample-0' has 2 correct and 2 unparsed of 3 answers"):
        row(n_unparsed=2)
    with pytest.raises(ValueError, match="n must be at least 1"):
        row(n=0, n_correct=0, n_unparsed=0)
    with pytest.raises(ValueError, match="add up to at most n"):
        row(n_correct=-1)
    with pytest.raises(ValueError, match=r"content_hash of 'sample-0' is 'abc'.*32 lower-case"):
        row(content_hash="abc")
    with pytest.raises(ValueError, match=r"probe_key of 'sample-0' is '\.\./x'"):
        row(probe_key="../x")


def test_a_shard_holds_one_probe(tmp_path):
    with pytest.raises(ValueError, match="2 rows holds 2 probe keys"):
        write_shard(tmp_path, [row(1), row(1, probe_key=OTHER_KEY)])
    with pytest.raises(ValueError, match="0 rows holds 0 probe keys"):
        write_shard(tmp_path, [])
