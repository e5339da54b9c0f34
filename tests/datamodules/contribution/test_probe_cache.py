"""What probes wrote survives crashes and crowds, and never meets another wording or probe."""

import dataclasses
import json
import multiprocessing
import random
import time

import pyarrow.parquet as pq
import pytest

from datamodules.contribution.probe_cache import (
    ProbeRow,
    compact,
    describe_probe,
    find_probe,
    probe_key,
    probes,
    read_rows,
    write_shard,
)
from datamodules.contribution.probe_scores import Scores
from datamodules.contribution.probe_shards import SCHEMA
from datamodules.media.files import content_hash, file_digest
from datamodules.sample import Media

KEY, OTHER_KEY = "ab" * 16, "cd" * 16
FORKSERVER = multiprocessing.get_context("forkserver")


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
        "n_unparsed": 0,
        "time": 100.0,
    }
    return ProbeRow(**{**usual, **changes})


def shards(root):
    return sorted(root.glob("probe=*/*.parquet"))


def test_a_row_comes_back_as_it_was_written(tmp_path):
    written = row(
        7,
        n=16,
        n_correct=5,
        n_unparsed=2,
        option_seed=2**40,
        first=32,
        option_logprobs=(-1.5, -0.25, float("-inf")),
        shard="3/8",
        time=1.5,
    )
    path = write_shard(tmp_path, [written, row(8)])
    assert path.parent.name == f"probe={KEY}"
    first, second = read_rows(tmp_path).to_pylist()
    assert first["content_hash"] == bytes.fromhex(content(7))
    expected = dataclasses.asdict(written) | {"content_hash": first["content_hash"]}
    assert first == expected | {"option_logprobs": [-1.5, -0.25, float("-inf")]}
    assert second["option_logprobs"] is None
    assert pq.read_schema(path).field("content_hash").type.byte_width == 16


def test_rows_are_read_of_one_probe_or_of_all(tmp_path):
    assert read_rows(tmp_path / "absent").schema == SCHEMA
    assert read_rows(tmp_path, KEY).num_rows == 0
    write_shard(tmp_path, [row(1), row(2)])
    write_shard(tmp_path, [row(1, probe_key=OTHER_KEY), row(1, probe_key=OTHER_KEY, time=99.0)])
    assert read_rows(tmp_path, KEY).num_rows == 2
    assert read_rows(tmp_path, OTHER_KEY)["time"].to_pylist() == [99.0]
    assert read_rows(tmp_path).num_rows == 3


def test_merging_keeps_every_row_once_in_one_file(tmp_path):
    write_shard(tmp_path, [row(2), row(1, n_correct=1)])
    write_shard(tmp_path, [row(1, n_correct=1), row(1, first=7), row(3, option_logprobs=(-1.0,))])
    write_shard(tmp_path, [row(1, probe_key=OTHER_KEY)])
    merged = compact(tmp_path, KEY)
    assert shards(tmp_path / ".")[:1] == [merged]
    table = read_rows(tmp_path, KEY)
    assert sorted(zip(table["sample_id"].to_pylist(), table["first"].to_pylist(), strict=True)) == [
        ("sample-1", 0),
        ("sample-1", 7),  # behind a gap that may still be filled
        ("sample-2", 0),
        ("sample-3", 0),
    ]
    assert pq.read_table(merged).num_rows == 4


def test_merging_again_does_nothing(tmp_path):
    assert compact(tmp_path, KEY) is None
    write_shard(tmp_path, [row(1)])
    assert compact(tmp_path, KEY) is None
    write_shard(tmp_path, [row(2)])
    merged = compact(tmp_path, KEY)
    assert compact(tmp_path, KEY) is None
    assert shards(tmp_path) == [merged]


def test_a_kill_between_writing_and_deleting_changes_nothing(tmp_path):
    """Restore each of the old shards in turn, and all: as if merging died before it was done."""
    for number in range(3):
        write_shard(tmp_path, [row(number), row(9, first=3 * number, n_correct=number)])
    old = {path: path.read_bytes() for path in shards(tmp_path)}
    hashes = [content(number) for number in (0, 1, 2, 9)]
    merged = compact(tmp_path, KEY)
    for left in [*([path] for path in old), list(old)]:
        for path in left:
            path.write_bytes(old[path])
        for _ in range(2):
            counts = Scores.load(tmp_path, KEY, hashes).counts("no_audio", "silent")
            assert counts.n.tolist() == [3, 3, 3, 9]
            assert counts.n_correct.tolist() == [2, 2, 2, 3]
            assert merged is not None
            merged = compact(tmp_path, KEY) or merged
    assert shards(tmp_path) == [merged]
    assert pq.read_table(merged).num_rows == 6


def test_merging_touches_no_file_but_those_it_merged(tmp_path):
    folder = write_shard(tmp_path, [row(1)]).parent
    write_shard(tmp_path, [row(2)])
    others = [folder / "probe.json", folder / "part-9-torn.parquet.tmp", folder / "notes.txt"]
    for path in others:
        path.write_text("{}")
    merged = compact(tmp_path, KEY)
    assert sorted(folder.iterdir()) == sorted([*others, merged])


def write_without_end(root, first, journal):
    """Note every batch once it is acknowledged."""
    with journal.open("a", buffering=1) as notes:
        for number in range(first, first + 1_000_000):
            write_shard(root, [row(number * 10 + i, n_correct=i % 4) for i in range(10)])
            notes.write(f"{number}\n")
            time.sleep(0.005)


def merge_without_end(root):
    while True:
        compact(root, KEY)


def test_killed_writers_and_a_killed_merger_lose_nothing_that_was_acknowledged(tmp_path):
    """Two writers and a merger, each killed and started again a few times, and then for good."""
    rng = random.Random(0)
    journals = [tmp_path / "first", tmp_path / "second"]

    def start(place, life):
        if place < 2:
            target, arguments = write_without_end, (10_000 * (10 * place + life), journals[place])
        else:
            target, arguments = merge_without_end, ()
        process = FORKSERVER.Process(target=target, args=(tmp_path, *arguments), daemon=True)
        process.start()
        return process

    processes = [start(place, 0) for place in range(3)]
    deadline = time.monotonic() + 60
    while not all(path.exists() and path.stat().st_size for path in journals):
        assert time.monotonic() < deadline, "the writers do not start"
        time.sleep(0.01)
    for life, place in enumerate((0, 2, 1, 2, 0, 2), start=1):
        time.sleep(rng.uniform(0, 0.15))
        processes[place].kill()
        processes[place].join()
        processes[place] = start(place, life)
    for process in processes:
        process.kill()
        process.join()
    noted = [line for path in journals for line in path.read_text().split("\n")[:-1]]
    hashes = [content(int(line) * 10 + i) for line in noted for i in range(10)]
    counts = Scores.load(tmp_path, KEY, hashes).counts("no_audio", "silent")
    assert len(noted) >= 2
    assert counts.n.tolist() == [3] * len(hashes)
    assert counts.n_correct.tolist() == [i % 4 for _ in noted for i in range(10)]
    assert all(pq.read_table(shard).num_rows > 0 for shard in shards(tmp_path))


def test_a_probe_is_described_once(tmp_path):
    facts = {"model": "assets/tiny", "media_budget": {"frames": 8}, "sizes": (1, 2)}
    describe_probe(tmp_path, KEY, facts)
    describe_probe(tmp_path, KEY, facts)
    write_shard(tmp_path, [row(1, probe_key=OTHER_KEY)])
    assert probes(tmp_path) == {KEY: facts | {"sizes": [1, 2]}, OTHER_KEY: {}}
    assert list(probes(tmp_path)) == [KEY, OTHER_KEY]
    assert probes(tmp_path / "absent") == {}
    path = tmp_path / f"probe={KEY}" / "probe.json"
    assert json.loads(path.read_text())["model"] == "assets/tiny"
    assert [path] == list(path.parent.iterdir())
    with pytest.raises(
        ValueError, match=r'describes another probe than .*"frames": 9.*a key stands'
    ):
        describe_probe(tmp_path, KEY, facts | {"media_budget": {"frames": 9}})


@pytest.mark.parametrize("text", ["{", '{"model": "x"', "3", "\x80"])
def test_a_damaged_description_is_named(tmp_path, text):
    folder = write_shard(tmp_path, [row(1)]).parent
    (folder / "probe.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"probe.json is damaged .*: delete it"):
        probes(tmp_path)


def test_a_probe_is_found_by_the_beginning_of_its_key(tmp_path):
    near = "ab" * 15 + "ff"
    for key in (KEY, near, OTHER_KEY):
        describe_probe(tmp_path, key, {"model": f"model-{key[-2:]}"})
    assert find_probe(tmp_path, "c") == OTHER_KEY
    assert find_probe(tmp_path, KEY) == KEY
    assert find_probe(tmp_path, near[:31]) == near
    with pytest.raises(ValueError, match=r"2 of the 3 probes in .* begin with 'aba'") as ambiguous:
        find_probe(tmp_path, "aba")
    assert f"choose from {KEY} (model-ab), {near} (model-ff)." in str(ambiguous.value)
    with pytest.raises(ValueError, match=r"0 of the 3 probes in .* begin with 'x'") as unknown:
        find_probe(tmp_path, "x")
    assert f"{OTHER_KEY} (model-cd)" in str(unknown.value)
    with pytest.raises(ValueError, match=r"0 of the 0 .*run `python eval.py stage=probe` first"):
        find_probe(tmp_path / "absent", "a")


IDENTITY = {
    "model": "assets/tiny",
    "weights_digest": "00",
    "prompt_template": "{question}",
    "decoding": {"temperature": 1.0, "top_p": 0.9},
    "media_budget": {"frames": 8},
    "harness_version": "1",
}


def test_whatever_changes_a_probe_changes_its_key():
    """4,000 probes, each differing from the first in one thing: no two keys are the same."""
    keys = {probe_key(**IDENTITY)}
    for number in range(500):
        for change in (
            {"model": f"assets/tiny{number}"},
            {"weights_digest": f"{number + 1:032x}"},
            {"prompt_template": "{question}" + " " * (number + 1)},
            {"decoding": {"temperature": 1.0, "top_p": 0.9 + (number + 1) * 2**-40}},
            {"decoding": {"temperature": 1.0, "top_p": 0.9, f"k{number}": None}},
            {"media_budget": {"frames": 9 + number}},
            {"media_budget": {"frames": 8, "silence_seconds": number / 8}},
            {"harness_version": f"1.{number}"},
        ):
            keys.add(probe_key(**{**IDENTITY, **change}))
    assert len(keys) == 4001


WORDS = "Which digit is to be heard while the picture shows another one, and is it the larger?"
ASKED = {"question": WORDS, "options": ("three", "eight", "five"), "answer": "B"}
MEDIA = [Media(modality="audio", path="a.wav"), Media(modality="image", path="b.png", start=1.0)]


def mutated(text, number):
    """Change or add one character, in another way for every number."""
    at = number // 2 % len(text)
    return text[:at] + chr(0x4E00 + number) + text[at + number % 2 :]


def test_whatever_changes_a_question_changes_its_content(tmp_path):
    """6,000 questions, each differing from the first in one thing, 400 of them in a bit of a file:
    no two contents are the same."""
    whole = random.Random(0).randbytes(4096)
    path = tmp_path / "a.wav"
    path.write_bytes(whole)
    digests = [file_digest(path), "0" * 32]
    hashes = {content_hash(**ASKED, media=MEDIA, digests=digests)}
    for number in range(1400):
        options = list(ASKED["options"])
        options[number % 3] = mutated(options[number % 3], number // 3)
        for change in (
            {"question": mutated(WORDS, number)},
            {"options": tuple(options)},
            {"answer": mutated("B", number)},
            {"digests": [digests[0], f"{number + 1:032x}"]},
        ):
            asked = {**ASKED, "media": MEDIA, "digests": digests, **change}
            hashes.add(content_hash(**asked))
    for at in range(0, 4000, 10):
        path = tmp_path / f"{at}.wav"
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        hashes.add(content_hash(**ASKED, media=MEDIA, digests=[file_digest(path), digests[1]]))
    assert len(hashes) == 6001


def test_fields_of_a_question_do_not_run_into_each_other():
    """What moves from one field to its neighbor is another question."""
    variants = [
        {"question": "a b", "options": ("c", "d"), "answer": "A"},
        {"question": "a", "options": ("b c", "d"), "answer": "A"},
        {"question": "a b", "options": ("c d",), "answer": "A"},
        {"question": "a b", "options": ("c", "d", "A"), "answer": ""},
        {"question": "a b", "options": ("d", "c"), "answer": "A"},
    ]
    assert len({content_hash(**variant, media=[], digests=[]) for variant in variants}) == 5


def test_the_key_does_not_depend_on_the_order_of_settings():
    swapped = {**IDENTITY, "decoding": {"top_p": 0.9, "temperature": 1.0}}
    assert probe_key(**swapped) == probe_key(**IDENTITY)
    assert len(probe_key(**IDENTITY)) == 32


def test_rows_that_cannot_be_true_are_refused():
    with pytest.raises(ValueError, match=r"'sample-0' has 2 correct and 2 unparsed of 3 answers"):
        row(n_unparsed=2)
    with pytest.raises(ValueError, match="n must be at least 1"):
        row(n=0, n_correct=0)
    with pytest.raises(ValueError, match="add up to at most n"):
        row(n_correct=-1)
    with pytest.raises(ValueError, match=r"content_hash of 'sample-0' is 'abc'.*32 lower-case"):
        row(content_hash="abc")
    with pytest.raises(ValueError, match=r"probe_key of 'sample-0' is '\.\./x'"):
        row(probe_key="../x")
    with pytest.raises(ValueError, match=r"first=-1 .*counted from 0"):
        row(first=-1)
    with pytest.raises(ValueError, match="log-probabilities are numbers"):
        row(option_logprobs=(-1.0, float("nan")))


def test_a_shard_holds_one_probe(tmp_path):
    with pytest.raises(ValueError, match="2 rows holds 2 probe keys"):
        write_shard(tmp_path, [row(1), row(1, probe_key=OTHER_KEY)])
    with pytest.raises(ValueError, match="0 rows holds 0 probe keys"):
        write_shard(tmp_path, [])
