"""Manifests that cannot be read: what stands in their place, and in which letters."""

import json
from pathlib import Path

import pytest

from configs.load import load_config
from datamodules.sources.first_rows import check_manifests
from datamodules.sources.manifest_files import check_text

ROW = {"id": "q", "question": "What barks?", "options": ["a cat", "a dog"], "answer": "a dog"}


def told(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        check_text(path)
    return str(caught.value)


def test_a_file_in_the_place_of_the_directory_is_named_by_its_parts(tmp_path):
    (tmp_path / "mine.jsonl").touch()
    found = told(tmp_path / "mine.jsonl/train.jsonl")
    assert f"data.root={tmp_path}" in found and "data.train=mine.jsonl" in found


def test_a_directory_that_is_not_there_is_told_with_where_it_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told(Path("nowhere/train.jsonl")) == (
        "There is no directory nowhere, but train.jsonl is read from it: correct data.root, which "
        f"starts at {tmp_path} unless it is absolute."
    )


@pytest.mark.parametrize("there", ["train.json", "train.csv", "train.parquet"])
def test_another_ending_that_stands_there_is_named(tmp_path, there):
    (tmp_path / there).touch()
    found = told(tmp_path / "train.jsonl")
    assert f"but {there} stands in its place" in found and f"data.train={there}." in found


def test_what_is_no_manifest_stands_in_no_place(tmp_path):
    (tmp_path / "train.txt").touch()
    assert "write it there, one JSON object per line" in told(tmp_path / "train.jsonl")


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        *(("utf-16", "UTF-16"), ("utf-32", "UTF-32")),
        *(("utf-16-be", "UTF-16 or UTF-32"), ("utf-32-le", "UTF-16 or UTF-32")),
    ],
)
@pytest.mark.parametrize("name", ["train.jsonl", "train.json", "train.csv"])
def test_wide_characters_are_named(tmp_path, encoding, named, name):
    (tmp_path / name).write_text(json.dumps(ROW), encoding=encoding)
    found = told(tmp_path / name)
    assert f"is written in {named}, but manifests are in UTF-8" in found
    assert f"`iconv -f {named[:6]} -t UTF-8`" in found


def test_a_mark_of_utf_8_is_none_of_wide_characters(tmp_path):
    (tmp_path / "train.jsonl").write_text(json.dumps(ROW), encoding="utf-8-sig")
    check_text(tmp_path / "train.jsonl")


def test_a_first_row_with_a_zero_in_it_is_a_bad_row_of_a_file_in_utf_8(tmp_path):
    (tmp_path / "train.jsonl").write_bytes(b'{\0id": 1}\n' + json.dumps(ROW).encode())
    check_text(tmp_path / "train.jsonl")


def check(root: Path, *names: str, word: str = "data.format=auto") -> str:
    """Say what is wrong with manifests; nothing where nothing is."""
    data = load_config(["stage=sft", "data=manifest", f"data.root={root}", word], ("sft",)).data
    try:
        check_manifests(data, names)
    except ValueError as error:
        return str(error)
    return ""


def test_the_first_rows_of_every_manifest_are_looked_at(tmp_path):
    good, other = json.dumps(ROW), json.dumps({"a": 1, "b": 2})
    (tmp_path / "good.jsonl").write_text(f"{good}\n")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    (tmp_path / "other.jsonl").write_text(f"{other}\n" * 30)
    (tmp_path / "torn.jsonl").write_text(f"{good[:-4]}\n")
    (tmp_path / "long.jsonl").write_text(f"{good[:-4]}\n" * 20 + f"{good}\n" * 900)
    assert check(tmp_path, "good", "long+good") == ""
    assert "empty.jsonl is empty, but questions are read from it" in check(tmp_path, "good+empty")
    assert "a row with the fields a, b is of no known format" in check(tmp_path, "good", "other")
    assert "torn.jsonl has no row that is good (1 malformed)" in check(tmp_path, "torn")
    assert check(tmp_path, "torn", word="data.max_bad_share=1") == ""


@pytest.mark.parametrize(
    ("bad", "reason", "told"),
    [
        ({"options": "A. a cat B. a dog"}, "bad_options", "write the options as a list of texts"),
        ({"media": [{"modality": "audio", "path": "a.wav"}]}, "missing", "fetch the file"),
        ({"answer": "a cow"}, "bad_answer", ""),
    ],
)
def test_a_small_file_without_a_good_row_is_told_with_the_first(tmp_path, bad, reason, told):
    """The words of the first row are those with which a run sets it aside."""
    rows = [json.dumps({**ROW, **bad, "id": f"q{n}"}) for n in range(40)]
    (tmp_path / "bad.jsonl").write_text("\n".join(rows))
    found = check(tmp_path, "bad")
    assert f"bad.jsonl has no row that is good (40 {reason})" in found
    assert "bad.jsonl:1: " in found and told in found
    (tmp_path / "bad.jsonl").write_text("\n".join([*rows, json.dumps(ROW)]))
    assert check(tmp_path, "bad") == ""


def test_a_large_value_of_json_is_not_parsed_twice(tmp_path):
    file = tmp_path / "large.json"
    file.write_text(f"[{json.dumps(ROW)},\n" + " " * 2**24 + "no JSON")
    assert check(tmp_path, "large.json") == ""
