"""Preference data are refused by name, a whole file or the rows that are such."""

import json

import pytest

from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine

TURNS = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann."}]
SAID = {"from": "gpt", "value": "Bo."}


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"messages": TURNS, "label": False}, "label"),
        ({"messages": TURNS, "label": True}, "label"),
        ({"prompt": "Who?", "completion": "Bo.", "label": False}, "label"),
        ({"prompt": "Who?", "chosen": "Ann.", "rejected": "Bo."}, "chosen"),
        ({"chosen": TURNS, "rejected": TURNS}, "chosen"),
        ({"conversations": TURNS[:1], "chosen": SAID, "rejected": SAID}, "chosen"),
        ({"messages": TURNS, "rejected_response": "Bo."}, "rejected_response"),
        ({"messages": TURNS, "rejected_messages": TURNS}, "rejected_messages"),
        ({"messages": TURNS, "score": 0.25}, "score"),
        ({"instruction": "Who?", "output": "Bo.", "kto_tag": False}, "kto_tag"),
        ({"instruction": "Who?", "output": "Bo.", "rejected": "Cy."}, "rejected"),
    ],
)
def test_preference_data_are_refused(tmp_path, row, field):
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join([json.dumps(row)] * 2))
    with pytest.raises(ValueError, match=rf"{field}.*preference data are not imitated.*keep"):
        read_manifest(path, tmp_path, Quarantine(max_bad_share=1))
    good = {"messages": TURNS}
    path.write_text("\n".join(map(json.dumps, [good, row, good])))
    quarantine = Quarantine(max_bad_share=1)
    samples = read_manifest(path, tmp_path, quarantine, format="chat")
    assert [one.answer for one in samples] == ["Ann."] * 2
    assert quarantine.counts == {"preference": 1}


@pytest.mark.parametrize(
    "fields", [{"label": None}, {"rejected": ""}, {"difficulty_score_type": "x"}, {"chosen": []}]
)
def test_empty_fields_and_mere_facts_prefer_nothing(tmp_path, fields):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"messages": TURNS} | fields))
    [sample] = read_manifest(path, tmp_path, Quarantine(max_bad_share=0))
    assert sample.completion == "Ann."
