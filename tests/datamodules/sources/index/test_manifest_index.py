"""Large manifests: an index says what reading says, whoever reads it and whatever happened."""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules.media.files import MediaError
from datamodules.sample import Sample
from datamodules.sources.adapter import Place
from datamodules.sources.index.manifest_index import INDEXED_BYTES, open_samples
from datamodules.sources.index.table import ROWS_TOGETHER, SampleTable, checked, column_of
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine

ROOT = Path(__file__).parents[4]
ROWS = 2 * ROWS_TOGETHER + 45


def row(number: int) -> dict[str, object]:
    """Questions of four kinds, of which the one in 100 is bad."""
    media = [{"modality": "audio", "path": f"{number % 3}.wav", "start": 0.5, "role": "context"}]
    common = {"id": f"q{number}", "question": f"How many are {number}? ‹é›", "media": media}
    if number % 100 == 99:
        return {**common, "answer": "Z", "options": ["a", "b"]}
    kinds: list[dict[str, object]] = [
        {"answer": "b", "options": ["a", "b", "c"], "facts": {"task": "count", "level": "2"}},
        {
            "answer": 7.5,
            "tolerance": 0.5,
            "evidence": "seven",
            "completion": "<answer>7.5</answer>",
        },
        {"answer": ["a", "c"], "answer_type": "set", "source": "other", "asset_id": "tape"},
        {"answer": "no", "media": []},
    ]
    return {**common, **kinds[number % 4]}


def write(root: Path, rows: int = ROWS, name: str = "train") -> Path:
    for number in range(3):
        soundfile.write(root / f"{number}.wav", np.full(16_000, number / 10), 16_000)
    path = root / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row(number)) + "\n" for number in range(rows)))
    return path


def quarantine() -> Quarantine:
    return Quarantine(max_bad_share=1.0)


def indexed(path: Path, bad: Quarantine | None = None, **how: object) -> SampleTable:
    bad = quarantine() if bad is None else bad  # an empty one is false
    samples = open_samples(path, path.parent, bad, above=0, **how)
    assert isinstance(samples, SampleTable)
    return samples


def listed(path: Path, bad: Quarantine | None = None) -> list[Sample]:
    return read_manifest(path, path.parent, quarantine() if bad is None else bad)


def indexes(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "index").iterdir())


def test_an_index_holds_the_questions_that_reading_finds_and_sets_the_same_aside(tmp_path):
    path, read, replayed = write(tmp_path), quarantine(), quarantine()
    expected, table = listed(path, read), indexed(path, replayed)
    assert len(table) == len(expected) == ROWS - 5
    assert list(table) == expected
    assert [table[place] for place in range(len(table))] == expected
    assert replayed._seen == read._seen
    assert len(replayed) == 5


def test_an_index_is_made_once_and_replayed_in_full(tmp_path):
    path = write(tmp_path)
    indexed(path)
    (made,) = indexes(tmp_path)
    before = (tmp_path / "index" / made / "rows.arrow").stat().st_mtime_ns
    again = quarantine()
    assert list(indexed(path, again)) == listed(path)
    assert len(again) == 5
    assert indexes(tmp_path) == [made]
    assert (tmp_path / "index" / made / "rows.arrow").stat().st_mtime_ns == before


def test_a_small_manifest_is_read_without_an_index(tmp_path):
    path = write(tmp_path)
    assert path.stat().st_size < INDEXED_BYTES
    samples = open_samples(path, tmp_path, quarantine())
    assert isinstance(samples, list)
    assert samples == listed(path)
    assert not (tmp_path / "index").exists()


def test_a_missing_manifest_is_said_to_be_missing(tmp_path):
    with pytest.raises(ValueError, match=r"There is no manifest .*train\.jsonl"):
        open_samples(tmp_path / "train.jsonl", tmp_path, quarantine(), above=0)


@pytest.mark.parametrize(
    "part",
    [slice(5), slice(None, None, -1), slice(3, None, 100), slice(7, 7), slice(-20, -3, 4)],
)
def test_slices_are_tables_of_what_a_list_would_have_there(tmp_path, part):
    path = write(tmp_path)
    table, expected = indexed(path), listed(path)
    assert isinstance(table[part], SampleTable)
    assert list(table[part]) == expected[part]
    assert list(table[part][1:]) == expected[part][1:]
    assert table[part].column("id") == [sample.id for sample in expected[part]]


def test_places_count_from_either_end_and_end_there(tmp_path):
    path = write(tmp_path, rows=11)
    table, expected = indexed(path), listed(path)
    assert (table[np.int64(3)], table[-1]) == (expected[3], expected[-1])
    for place in (11, -12):
        with pytest.raises(IndexError):
            table[place]


def test_chosen_questions_come_in_the_order_given(tmp_path):
    path = write(tmp_path)
    table, expected = indexed(path), listed(path)
    chosen = np.array([ROWS - 6, 0, 300, 300, 7])
    assert list(table.take(chosen)) == [expected[place] for place in chosen]
    assert list(table[2:].take(np.array([4, 1]))) == [expected[6], expected[3]]
    assert list(table.take(chosen).take(np.array([1]))) == [expected[0]]


def test_ids_and_content_hashes_are_read_as_columns(tmp_path):
    path = write(tmp_path)
    table, expected = indexed(path), listed(path)
    assert column_of(table, "id") == column_of(expected, "id")
    assert table.column("content_hash") == [sample.content_hash for sample in expected]


def test_an_empty_manifest_has_an_empty_index(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text("\n \n")
    table = indexed(path)
    assert (len(table), list(table), table.column("id")) == (0, [], [])


def looked_at(sent: bytes, places: list[int]) -> list[Sample]:
    samples = pickle.loads(sent)
    return [checked(samples, place) for place in places]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_other_processes_read_the_same_and_are_sent_next_to_nothing(tmp_path, start):
    path = write(tmp_path)
    table, expected = indexed(path), listed(path)
    assert table[400] == expected[400]  # a reader is open when the others start
    sent, places = pickle.dumps(table), [ROWS - 6, 3, 400, 0]
    assert len(sent) < 1_000
    with multiprocessing.get_context(start).Pool(2) as pool:
        for found in pool.starmap(looked_at, [(sent, places)] * 4):
            assert found == [expected[place] for place in places]


def test_a_fork_reads_on_with_a_table_that_is_open(tmp_path):
    path = write(tmp_path)
    table, expected = indexed(path), listed(path)
    assert table[0] == expected[0]
    child = os.fork()
    if not child:
        os._exit(0 if list(table) == expected else 1)
    assert list(table) == expected
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_changed_manifest_is_indexed_again(tmp_path):
    path = write(tmp_path)
    first = indexed(path)
    path.write_text(path.read_text().replace("How many", "How much"))
    second = indexed(path)
    assert first[0].question.startswith("How many")
    assert list(second) == listed(path)
    assert second[0].question.startswith("How much")
    assert len(indexes(tmp_path)) == 2


def test_another_way_of_reading_is_another_index(tmp_path):
    path = write(tmp_path)
    indexed(path)
    indexed(path, outside_root=True)
    indexed(path, format="manifest")
    assert len(indexes(tmp_path)) == 3


def test_manifests_of_one_name_in_two_places_have_an_index_each(tmp_path):
    """Both have the same size and time, so that only their places tell them apart."""
    write(tmp_path)
    for folder, word in (("a", "many"), ("b", "much")):
        (tmp_path / folder).mkdir()
        made = tmp_path / folder / "train.jsonl"
        made.write_text((tmp_path / "train.jsonl").read_text().replace("many", word))
        os.utime(made, ns=(1, 1))
    tables = [
        open_samples(tmp_path / folder / "train.jsonl", tmp_path, quarantine(), above=0)
        for folder in "ab"
    ]
    assert [table[0].question.split()[1] for table in tables] == ["many", "much"]


def test_ids_of_other_manifests_are_set_aside_as_reading_does(tmp_path):
    path, bad = write(tmp_path), quarantine()
    table = indexed(path, bad, taken={"q3", "q400", "stranger"})
    read = quarantine()
    assert list(table) == read_manifest(path, tmp_path, read, taken={"q3", "q400", "stranger"})
    assert bad.counts == read.counts
    assert bad.counts["duplicate_id"] == 2
    assert list(indexed(path)) == listed(path)


MAKER = """
import sys
from pathlib import Path
from datamodules.sources.quarantine import Quarantine
from datamodules.sources.index.manifest_index import open_samples
path = Path(sys.argv[1])
print("started", flush=True)
open_samples(path, path.parent, Quarantine(max_bad_share=1.0), above=0)
"""


def test_an_index_is_there_whole_or_not_at_all_when_its_maker_is_killed(tmp_path):
    path, killed = write(tmp_path, rows=2_000), 0
    for moment in range(3):
        command = [sys.executable, "-c", MAKER, str(path)]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as maker:
            maker.stdout.readline()
            time.sleep(0.3 * moment)
            maker.kill()
        killed += maker.returncode != 0
        for file in tmp_path.glob("index/*/rows.arrow"):
            if not file.parent.name.endswith(".tmp"):
                assert len(SampleTable(file, root=tmp_path)) == 2_000 - 20
    assert killed
    assert list(indexed(path)[::97]) == listed(path)[::97]


def test_two_that_index_at_once_share_what_the_faster_made(tmp_path):
    path = write(tmp_path)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        tables = pool.map(indexed, [path] * 4)
    assert len({table.file for table in tables}) == 1
    assert len(indexes(tmp_path)) == 1
    assert all(list(table) == listed(path) for table in tables)


def test_a_changed_medium_is_noticed_by_its_content(tmp_path):
    """The first row hears 0.wav: touched it is the same, written over it is not."""
    path = write(tmp_path)
    table = indexed(path)
    os.utime(tmp_path / "0.wav", ns=(5, 5))
    assert checked(table, 0) == table[0]
    soundfile.write(tmp_path / "0.wav", np.full(16_000, 0.7), 16_000)
    with pytest.raises(MediaError, match=r"q0: of its media \(0\.wav\) one was written over") as at:
        checked(table, 0)
    assert at.value.kind == "changed"
    assert str(table.file.parent) in str(at.value)
    assert checked(table, 1) == table[1]
    assert checked(table, 3) == table[3]  # which has no media


def test_a_medium_that_went_missing_is_missing(tmp_path):
    table = indexed(write(tmp_path))
    (tmp_path / "0.wav").unlink()
    with pytest.raises(MediaError) as at:
        checked(table, 0)
    assert at.value.kind == "missing"


def test_questions_in_memory_are_looked_at_as_they_are(tmp_path):
    samples = listed(write(tmp_path, rows=4))
    assert checked(samples, 2) is samples[2]


def test_rows_without_their_media_stay_aside_and_the_log_says_until_when(tmp_path, caplog):
    path = write(tmp_path)
    (tmp_path / "2.wav").unlink()
    bad = quarantine()
    indexed(path, bad)
    soundfile.write(tmp_path / "2.wav", np.zeros(16_000), 16_000)
    caplog.clear()
    again = quarantine()
    table = indexed(path, again)
    assert again.counts == bad.counts
    assert again.counts["missing"] > 100
    said = f"{again.counts['missing']} rows stay set aside for media that were missing or bad"
    assert said in caplog.text
    assert f"{table.file.parent} was made: once these are mended, delete it" in caplog.text


def test_where_no_index_can_be_written_the_questions_are_kept_in_memory(tmp_path, caplog):
    path = write(tmp_path)
    (tmp_path / "index").write_text("in the way")
    samples = open_samples(path, tmp_path, quarantine(), above=0)
    assert samples == listed(path)
    assert "cannot be written" in caplog.text


def test_no_link_of_a_data_set_leads_what_is_written_out_of_it(tmp_path, caplog):
    """Neither an index nor the media of a row go where a stranger's link points."""
    root, outside = tmp_path / "data", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "index").symlink_to(outside)
    path = write(root)
    assert open_samples(path, root, quarantine(), above=0) == listed(path)
    assert f"outside data.root: take the link away: '{root / 'index'}" in caplog.text
    place = Place(root=root, directory="", name="rows", number=1)
    (root / "rows-media").symlink_to(outside)
    with pytest.raises(ValueError, match=r"outside data\.root: take the link away"):
        place.keep(b"a medium")
    assert not [*outside.iterdir()]


def test_a_damaged_index_is_told_and_made_anew(tmp_path, caplog):
    path = write(tmp_path)
    file = indexed(path).file
    file.write_bytes(file.read_bytes()[:-700])
    assert list(indexed(path)) == listed(path)
    assert f"the index {file.parent} is damaged (rows.arrow is not what was written)" in caplog.text
