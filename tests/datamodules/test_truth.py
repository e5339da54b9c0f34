"""Truth files: what is read of them, and which conditions leave enough."""

import json

import pytest

from datamodules.truth import answerable, read_truth


@pytest.mark.parametrize(
    ("evidence", "condition", "expected"),
    [
        ("text", "text_only", True),
        ("text", "no_text", False),
        ("audio", "no_visual", True),
        ("audio", "no_audio", False),
        ("audio", "audio_only", False),
        ("visual", "no_audio", True),
        ("either", "no_audio", True),
        ("either", "no_visual", True),
        ("either", "text_only", False),
        ("both", "no_audio", False),
        ("both", "full", True),
    ],
)
def test_a_question_is_answerable_if_one_sufficient_set_is_left(evidence, condition, expected):
    assert answerable(evidence, condition) is expected


def test_truth_is_read_by_id_and_its_absence_is_no_error(tmp_path):
    file = tmp_path / "train.jsonl"
    assert read_truth(file) == {}
    file.write_text(json.dumps({"id": "q1", "evidence": "both", "family": "sum"}) + "\n")
    assert read_truth(file)["q1"]["family"] == "sum"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "q1"}, r"train\.jsonl:1 has no 'evidence', .*: add it"),
        ({"id": "q1", "evidence": "smell"}, r"evidence 'smell'.*choose from text, audio"),
    ],
)
def test_a_truth_file_says_what_is_wrong_with_it(tmp_path, row, message):
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=message):
        read_truth(tmp_path / "train.jsonl")
