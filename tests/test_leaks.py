"""What questions have in common with those that weights were trained on."""

import json
from collections.abc import Sequence
from pathlib import Path

from datamodules.leaks import Leaks, leaks_of, leaks_text, wording
from datamodules.quarantine import Quarantine
from datamodules.sample import Sample
from datamodules.sources.manifest import read_manifest

Question = tuple[str, str, str]  # id, words, file


def manifest(file: Path, questions: Sequence[Question]) -> None:
    """Write questions about files beside the manifest, each file holding its name's stem."""
    rows = []
    file.parent.mkdir(parents=True, exist_ok=True)
    for name, words, medium in questions:
        if medium:
            (file.parent / medium).parent.mkdir(parents=True, exist_ok=True)
            (file.parent / medium).write_text(Path(medium).stem)
        media = [{"modality": "audio", "path": medium}] if medium else []
        row = {"id": name, "question": words, "options": ["a dog", "a cat"], "answer": "a dog"}
        rows.append(row | {"media": media})
    file.write_text("\n".join(map(json.dumps, rows)))


def run(root: Path, name: str, data: Path, train: str, start: str | None = None) -> Path:
    """Leave the settings of a run; return its export."""
    settings = {"init_from": start, "model": {"path": "hub/model"}}
    settings |= {"data": {"root": str(data), "train": train, "format": "auto"}}
    (root / name).mkdir()
    (root / name / "config.yaml").write_text(json.dumps(settings))  # which is YAML too
    return root / name / "export"


def read(file: Path, root: Path) -> list[Sample]:
    return read_manifest(file, root, Quarantine(max_bad_share=0))


def found_in(export: Path, samples: list[Sample], *, root: Path) -> Leaks:
    return leaks_of(export, {"test": samples}, root=root)["test"]


TRAIN = [
    ("t1", "Which animal barks in the yard?", "1.wav"),
    ("t2", "Who is singing?", "2.wav"),
    ("t3", "Who is singing?", "3.wav"),
]
TEST = [
    ("q1", "which animal barks in the yard", "2.wav"),
    ("q2", "What does she play?", "2.wav"),
    ("q3", "How many bells ring?", "9.wav"),
]


def test_assets_and_wordings_in_one_directory(tmp_path):
    manifest(tmp_path / "train.jsonl", TRAIN)
    manifest(tmp_path / "test.jsonl", TEST)
    export = run(tmp_path, "a", tmp_path, "train")
    leaks = found_in(export, read(tmp_path / "test.jsonl", tmp_path), root=tmp_path)
    assert leaks.assets == {"2.wav": 2}
    assert leaks.alike == {"q1": ("t1", 1.0)}
    assert (leaks.questions, leaks.trained) == (3, 3)
    assert leaks_text("test", leaks) == (
        f"trained on 3 questions of {tmp_path}/train.jsonl. Of the 3 questions of test, 2 are "
        "about 1 assets of theirs (such as 2.wav), and 1 are worded nearly like one of them (such "
        "as q1 and t1). What hub/model was trained on is not known here."
    )


def test_several_sets_are_told_apart(tmp_path):
    manifest(tmp_path / "train.jsonl", TRAIN)
    manifest(tmp_path / "test.jsonl", TEST)
    samples, export = read(tmp_path / "test.jsonl", tmp_path), run(tmp_path, "a", tmp_path, "train")
    sets = {"worded": samples[:1], "heard": samples[1:]}
    leaks = leaks_of(export, sets, root=tmp_path)
    assert [(one.questions, one.assets, len(one.alike)) for one in leaks.values()] == [
        (1, {"2.wav": 1}, 1),
        (2, {"2.wav": 1}, 0),
    ]


def test_all_runs_behind_an_export_count(tmp_path):
    manifest(tmp_path / "first.jsonl", TRAIN[:1])
    manifest(tmp_path / "last.jsonl", TRAIN[1:])
    manifest(tmp_path / "test.jsonl", TEST)
    first = run(tmp_path, "a", tmp_path, "first")
    second = run(tmp_path, "b", tmp_path, "last+first", str(first))
    leaks = found_in(second, read(tmp_path / "test.jsonl", tmp_path), root=tmp_path)
    assert leaks.manifests == [f"{tmp_path}/last.jsonl", f"{tmp_path}/first.jsonl"]
    assert (leaks.trained, leaks.assets) == (3, {"2.wav": 2})
    assert leaks.alike == {"q1": ("t1", 1.0)} and leaks.unknown == ["hub/model"]


def test_elsewhere_an_asset_is_the_same_by_name_and_bytes(tmp_path):
    """x/2.wav holds "2" here and there; 1.wav is another file of the same name."""
    manifest(tmp_path / "mine/train.jsonl", [("t1", "Hm?", "1.wav"), ("t2", "Hm?", "x/2.wav")])
    manifest(tmp_path / "theirs/mini.jsonl", [("q1", "Oh?", "1.wav"), ("q2", "Oh?", "y/2.wav")])
    (tmp_path / "theirs/1.wav").write_text("7")
    samples = read(tmp_path / "theirs/mini.jsonl", tmp_path / "theirs")
    export = run(tmp_path, "a", tmp_path / "mine", "train")
    assert found_in(export, samples, root=tmp_path / "theirs").assets == {"y/2.wav": 1}
    (tmp_path / "mine/x/2.wav").unlink()
    assert found_in(export, samples, root=tmp_path / "theirs").assets == {}


def test_published_training_sets_are_read_in_their_own_format(tmp_path):
    rows = [{"messages": [
        {"role": "user", "content": "<audio>Which animal barks in the yard?\nA. a dog\nB. a cat"},
        {"role": "assistant", "content": "<answer>A</answer>"},
    ], "audios": ["2.wav"]}]  # fmt: skip
    (tmp_path / "train.json").write_text(json.dumps(rows))
    manifest(tmp_path / "test.jsonl", TEST)
    export = run(tmp_path, "a", tmp_path, "train.json")
    leaks = found_in(export, read(tmp_path / "test.jsonl", tmp_path), root=tmp_path)
    assert (leaks.trained, leaks.assets) == (1, {"2.wav": 2})


def test_of_weights_from_elsewhere_nothing_is_known(tmp_path):
    manifest(tmp_path / "test.jsonl", TEST)
    samples = read(tmp_path / "test.jsonl", tmp_path)
    leaks = found_in(Path("Qwen/Qwen2.5-Omni-3B"), samples, root=tmp_path)
    assert leaks_text("test", leaks) == (
        "What Qwen/Qwen2.5-Omni-3B was trained on is not known here."
    )
    assert not leaks.assets and not leaks.alike


def test_a_manifest_that_is_gone_is_said(tmp_path):
    manifest(tmp_path / "test.jsonl", TEST)
    export = run(tmp_path, "a", tmp_path, "gone")
    leaks = found_in(export, read(tmp_path / "test.jsonl", tmp_path), root=tmp_path)
    assert f"{tmp_path}/gone.jsonl, which is not there" in leaks_text("test", leaks)


def test_a_wording_has_a_line_for_each_option():
    assert wording("Who?", ("a dog", 3)) == "Who?\na dog\n3"
