"""Counts come out as they were written, whatever crashes, restarts and merging did to the files."""

import itertools
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.contribution import probe_scores
from datamodules.contribution.probe_cache import compact, write_shard
from datamodules.contribution.probe_scores import Scores
from tests.datamodules.contribution.test_probe_cache import KEY, OTHER_KEY, content, row


def scores(root, numbers, key=KEY):
    return Scores.load(root, key, [content(number) for number in numbers])


def heard(root, numbers, *, condition="no_audio", how="silent", orders=None):
    """The (n_correct, n) of each of these contents."""
    found = scores(root, numbers).counts(condition, how, orders=orders)
    return list(zip(found.n_correct.tolist(), found.n.tolist(), strict=True))


def test_counts_follow_the_questions_and_not_the_files(tmp_path):
    write_shard(tmp_path, [row(1, n_correct=1), row(2, n_correct=0)])
    write_shard(tmp_path, [row(3, n=5, n_correct=2)])
    assert heard(tmp_path, [3, 9, 1]) == [(2, 5), (0, 0), (1, 3)]


def test_questions_of_equal_content_share_their_scores(tmp_path):
    """Also when other contents stand between them, and when it was asked about under two ids."""
    write_shard(tmp_path, [row(3, n=5, n_correct=2), row(3, sample_id="copy", n=7, time=200.0)])
    write_shard(tmp_path, [row(1, n_correct=0)])
    assert heard(tmp_path, [3, 1, 9, 3, 1]) == [(2, 5), (0, 3), (0, 0), (2, 5), (0, 3)]


def test_conditions_and_ways_of_withholding_are_kept_apart(tmp_path):
    write_shard(tmp_path, [row(1, n_correct=1), row(1, how="absent", n_correct=2)])
    write_shard(tmp_path, [row(1, condition="full", how="absent", n=1, n_correct=0, n_unparsed=0)])
    assert heard(tmp_path, [1]) == [(1, 3)]
    assert heard(tmp_path, [1], how="absent") == [(2, 3)]
    assert heard(tmp_path, [1], condition="full", how="absent") == [(0, 1)]
    assert heard(tmp_path, [1], condition="full", how="silent") == [(0, 0)]
    assert heard(tmp_path, [1], condition="text_only") == [(0, 0)]


def test_probes_are_kept_apart(tmp_path):
    write_shard(tmp_path, [row(1, n_correct=1)])
    write_shard(tmp_path, [row(1, probe_key=OTHER_KEY, n=4, n_correct=3)])
    assert scores(tmp_path, [1]).counts("no_audio", "silent").n.tolist() == [3]
    assert scores(tmp_path, [1], OTHER_KEY).counts("no_audio", "silent").n.tolist() == [4]


def test_only_the_first_orders_of_options_count_where_so_many_are_asked_for(tmp_path):
    """Answers right: 1 of 3 in order 0, 2 of 4 in order 1, 4 of 5 in order 7."""
    orders = [(0, 1, 3), (1, 2, 4), (7, 4, 5)]
    write_shard(
        tmp_path,
        [row(1, option_seed=i, n_correct=right, n=n, n_unparsed=0) for i, right, n in orders],
    )
    assert heard(tmp_path, [1]) == [(7, 12)]
    assert [heard(tmp_path, [1], orders=i) for i in (1, 2, 7, 8)] == [
        [(1, 3)],
        [(3, 7)],
        [(3, 7)],
        [(7, 12)],
    ]


def test_what_is_done_is_counted_for_each_order(tmp_path):
    write_shard(
        tmp_path, [row(1, n=2, n_correct=1), row(1, first=2, n=4), row(2, option_seed=1, n=5)]
    )
    found = scores(tmp_path, [2, 1])
    assert found.done("no_audio", "silent", 0).tolist() == [0, 6]
    assert found.done("no_audio", "silent", 1).tolist() == [5, 0]
    assert found.done("no_audio", "absent", 0).tolist() == [0, 0]


def test_a_changed_content_has_no_scores(tmp_path):
    write_shard(tmp_path, [row(1)])
    changed = content(1)[:-1] + "0"
    assert Scores.load(tmp_path, KEY, [changed]).counts("no_audio", "silent").n.tolist() == [0]


def test_nothing_was_answered_where_nothing_was_asked(tmp_path):
    assert heard(tmp_path / "absent", [1, 2]) == [(0, 0), (0, 0)]
    (tmp_path / f"probe={KEY}").mkdir()
    assert heard(tmp_path, [1]) == [(0, 0)]
    assert scores(tmp_path, [1]).done("full", "absent", 0).tolist() == [0]
    write_shard(tmp_path, [row(1)])
    assert heard(tmp_path, []) == []
    assert heard(tmp_path, [5]) == [(0, 0)]


CHAINS = [  # (first, n, n_correct, time) of each row; then n_correct and n that must come out
    ("one after the other", [(0, 2, 1, 5), (2, 3, 3, 6), (5, 4, 0, 7)], (4, 9)),
    ("a repeat, written later", [(0, 2, 1, 5), (0, 2, 2, 6), (2, 3, 3, 7)], (4, 5)),
    ("a repeat of other length", [(0, 4, 1, 5), (0, 2, 2, 6), (2, 3, 3, 7)], (1, 4)),
    ("an overlap", [(0, 4, 1, 5), (2, 4, 4, 6), (4, 1, 1, 7)], (2, 5)),
    ("a gap", [(0, 2, 1, 5), (3, 4, 4, 6)], (1, 2)),
    ("a gap at the beginning", [(1, 4, 4, 6), (5, 1, 1, 7)], (0, 0)),
    ("a gap that was filled", [(3, 4, 4, 6), (0, 2, 1, 5), (2, 1, 1, 9)], (6, 7)),
    ("what the overlap led to", [(0, 4, 1, 5), (2, 4, 4, 6), (6, 3, 3, 7), (4, 1, 0, 8)], (1, 5)),
    ("the earlier, though it falls short", [(0, 2, 0, 5), (0, 4, 4, 6), (4, 1, 1, 7)], (0, 2)),
]


@pytest.mark.parametrize(("rows", "expected"), [case[1:] for case in CHAINS], ids=lambda _: "")
def test_answers_count_once_and_in_sequence_whatever_the_files_are(tmp_path, rows, expected):
    """In several orders of writing, with another question's rows between, and after merging."""
    for number, order in enumerate([rows, rows[::-1], [*rows[1:], rows[0]]]):
        root = tmp_path / str(number)
        chain = [
            row(1, first=first, n=n, n_correct=right, n_unparsed=0, time=float(time))
            for first, n, right, time in order
        ]
        write_shard(root, [chain[0], row(2, n_correct=2), *chain[1:2]])
        for one in chain[2:]:
            write_shard(root, [one])
        assert heard(root, [2, 1]) == [(2, 3), expected]
        compact(root, KEY)
        assert heard(root, [2, 1]) == [(2, 3), expected]


def test_scores_of_the_same_time_are_ranked_by_what_they_say(tmp_path):
    for number in range(6):
        rivals = [row(1, n_correct=2, shard="1/2"), row(1, n_correct=1, shard="2/2")]
        for rival in rivals if number % 2 else rivals[::-1]:
            write_shard(tmp_path / str(number), [rival])
        assert heard(tmp_path / str(number), [1]) == [(1, 3)]


def test_a_large_cache_agrees_with_a_dictionary(tmp_path):
    """Answers of 400 questions in 3 orders, in pieces of 1 to 4; some pieces written twice."""
    rng = random.Random(4)
    rows, expected = [], {}
    for number, order in itertools.product(range(400), range(3)):
        first = 0
        for _ in range(rng.randint(0, 3)):
            n = rng.randint(1, 4)
            right = rng.randint(0, n)
            usual = {"option_seed": order, "first": first, "n": n, "n_unparsed": 0}
            rows.append(row(number, n_correct=right, time=float(first), **usual))
            if rng.random() < 0.2:
                rows.append(row(number, n_correct=n - right, time=first + 0.5, **usual))
            tally = expected.setdefault(number, np.zeros(2, dtype=int))
            tally += (right, n)
            first += n
    rng.shuffle(rows)
    for at in range(0, len(rows), 250):
        write_shard(tmp_path, rows[at : at + 250])
    asked = rng.sample(range(500), 500)
    assert heard(tmp_path, asked) == [tuple(expected.get(i, (0, 0))) for i in asked]


def test_a_damaged_file_is_named(tmp_path):
    path = write_shard(tmp_path, [row(number) for number in range(300)])
    whole = path.read_bytes()
    for damaged in (b"", b"PAR1 PAR1", whole[:-1], whole[:200] + whole[201:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{path.name} is damaged or no shard.*restore it"):
            scores(tmp_path, [1])
    path.write_bytes(whole)
    assert heard(tmp_path, [299]) == [(2, 3)]


def test_no_flipped_bit_goes_unseen(tmp_path):
    path = write_shard(tmp_path, [row(number, n_correct=number % 3) for number in range(30)])
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=path.name):
            scores(tmp_path, [1])


def test_a_parquet_file_of_something_else_is_named(tmp_path):
    write_shard(tmp_path, [row(1)])
    other = tmp_path / f"probe={KEY}" / "mine.parquet"
    pq.write_table(pa.table({"n": [1, 2]}), other)
    with pytest.raises(ValueError, match=r"mine.parquet is damaged or no shard.*take it away"):
        scores(tmp_path, [1])


def test_shards_of_an_older_version_are_named(tmp_path):
    old = tmp_path / f"probe={KEY}" / f"part-17-{'0f' * 16}.parquet"
    old.parent.mkdir()
    pq.write_table(pa.table({"content_hash": [content(1)], "n": [3], "n_correct": [2]}), old)
    with pytest.raises(ValueError, match=rf"older version.*delete .*probe={KEY} and probe again"):
        scores(tmp_path, [1])


def test_a_shard_in_the_directory_of_another_probe_is_named(tmp_path):
    path = write_shard(tmp_path, [row(1)])
    (tmp_path / f"probe={OTHER_KEY}").mkdir()
    path.rename(tmp_path / f"probe={OTHER_KEY}" / path.name)
    with pytest.raises(ValueError, match=f"holds answers of probe {KEY}, but lies with"):
        scores(tmp_path, [1], OTHER_KEY)


def test_files_that_are_no_shards_by_name_are_passed_over(tmp_path):
    path = write_shard(tmp_path, [row(1)])
    path.with_name("part-1-torn.parquet.tmp").write_bytes(b"PAR1 and then the power went")
    path.with_name(".nfs0001.parquet").write_bytes(b"deleted while open")
    path.with_name("notes.txt").write_text("a good probe")
    assert heard(tmp_path, [1]) == [(2, 3)]


def test_a_shard_that_goes_away_while_it_is_read_sends_the_reader_back(tmp_path, monkeypatch):
    """The listing is stale once, as when shards were merged behind it."""
    write_shard(tmp_path, [row(1)])
    write_shard(tmp_path, [row(2, n_correct=1)])
    stale = probe_scores._list_shards(tmp_path / f"probe={KEY}")
    compact(tmp_path, KEY)
    fresh = probe_scores._list_shards
    lists = iter([stale, stale])
    monkeypatch.setattr(probe_scores, "_PAUSE", 0.0)
    monkeypatch.setattr(probe_scores, "_list_shards", lambda folder: next(lists, fresh(folder)))
    assert heard(tmp_path, [1, 2]) == [(2, 3), (1, 3)]
    monkeypatch.setattr(probe_scores, "_list_shards", lambda _: stale)
    with pytest.raises(ValueError, match=r"went away 30 times.*compact less often"):
        scores(tmp_path, [1])
