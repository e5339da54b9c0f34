"""What questions have in common with those that weights were trained on."""

import json
from collections.abc import Sequence
from pathlib import Path

from configs.plugins import digest_of
from datamodules.contamination.overlap import Overlap, find_overlap, overlap_notes
from datamodules.contamination.same_media import wording
from datamodules.sample import Sample
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine

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


def found_in(export: Path, samples: list[Sample], *, root: Path) -> Overlap:
    return find_overlap(export, {"test": samples}, root=root)["test"]


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
    assert overlap_notes({("test", "sft"): leaks}) == [
        f"sft was trained on 3 questions of {tmp_path}/train.jsonl",
        "of 3 questions of test, 2 are about an asset that sft was trained on (such as 2.wav); 1 "
        "is worded nearly like a question that it was (q1 like t1)",
        "what hub/model was trained on is not known here",
    ]


def test_what_is_true_of_several_sets_and_checkpoints_is_said_once():
    """Both start from one model; of three sets two have nothing in common with training."""
    near = {"q7": ("t8", 0.9), "q9": ("t8", 0.8)}
    usual = {"questions": 300, "manifests": ["train.jsonl"], "trained": 40, "unknown": ["hub/m"]}
    apart, alike = Overlap(**usual), Overlap(**usual, alike=near)
    bare = Overlap(questions=300, unknown=["hub/m"])
    sets = ("a", "b", "c")
    found = {(one, "base"): bare for one in sets}
    found |= {(one, "sft"): alike if one == "b" else apart for one in sets}
    assert overlap_notes(found) == [
        "sft was trained on 40 questions of train.jsonl",
        "of 300 questions of b, none is about an asset that sft was trained on; 2 are worded "
        "nearly like a question that it was (q7 like t8)",
        "of the questions of a, c, none is about an asset that sft was trained on, and none is "
        "worded nearly like a question that it was",
        "what hub/m was trained on is not known here",
    ]


def test_several_sets_are_told_apart(tmp_path):
    manifest(tmp_path / "train.jsonl", TRAIN)
    manifest(tmp_path / "test.jsonl", TEST)
    samples, export = read(tmp_path / "test.jsonl", tmp_path), run(tmp_path, "a", tmp_path, "train")
    sets = {"worded": samples[:1], "heard": samples[1:]}
    leaks = find_overlap(export, sets, root=tmp_path)
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


def test_elsewhere_an_asset_is_the_same_by_its_bytes(tmp_path):
    """x/2.wav and y/2.wav hold "2"; 1.wav is another file of the same name."""
    manifest(tmp_path / "mine/train.jsonl", [("t1", "Hm?", "1.wav"), ("t2", "Hm?", "x/2.wav")])
    manifest(tmp_path / "theirs/mini.jsonl", [("q1", "Oh?", "1.wav"), ("q2", "Oh?", "y/2.wav")])
    (tmp_path / "theirs/1.wav").write_text("7")
    samples = read(tmp_path / "theirs/mini.jsonl", tmp_path / "theirs")
    export = run(tmp_path, "a", tmp_path / "mine", "train")
    assert found_in(export, samples, root=tmp_path / "theirs").assets == {"y/2.wav": 1}
    (tmp_path / "mine/x/2.wav").unlink()
    assert found_in(export, samples, root=tmp_path / "theirs").assets == {}


def test_bytes_and_words_tell_the_same_question_under_other_names(tmp_path):
    """a/2.wav and b/2.wav hold "2". q1 asks the same of it, in other case and order of options; q2
    asks something else of it; q3 asks the same of another recording, as long in bytes."""
    manifest(tmp_path / "train.jsonl", [("t1", "Who barks?", "a/2.wav")])
    asked = [("q1", "who barks", "b/2.wav"), ("q2", "How often?", "b/2.wav")]
    manifest(tmp_path / "test.jsonl", [*asked, ("q3", "Who barks?", "b/3.wav")])
    text = (tmp_path / "test.jsonl").read_text()
    (tmp_path / "test.jsonl").write_text(text.replace('["a dog", "a cat"]', '["a cat", "a dog"]'))
    export = run(tmp_path, "sft", tmp_path, "train")
    leaks = found_in(export, read(tmp_path / "test.jsonl", tmp_path), root=tmp_path)
    assert leaks.assets == {"b/2.wav": 2}
    assert leaks.same == {"q1": "t1"}
    assert overlap_notes({("test", "sft"): leaks})[1] == (
        "of 3 questions of test, 2 are about an asset that sft was trained on (such as b/2.wav); 1 "
        "is one that it was trained on, words and media (q1 is t1); 2 are worded nearly like a "
        "question that it was (q1 like t1)"
    )


def test_words_alone_tell_the_same_question_that_shows_nothing(tmp_path):
    """q2 shows a recording, and q3 asks something else."""
    row = {"question": "Who barks?", "options": ["a dog", "a cat"], "answer": "a dog"}
    other = {**row, "options": ["a cat", "a dog"], "question": "who barks"}
    recording = {"media": [{"modality": "audio", "path": "2.wav"}]}
    (tmp_path / "2.wav").write_text("2")
    asked = [other | {"id": "q1"}, row | recording | {"id": "q2"}]
    asked.append(row | {"question": "What is it that all cats are afraid of?", "id": "q3"})
    for name, rows in {"train": [row | {"id": "t1"}], "test": asked}.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    export = run(tmp_path, "sft", tmp_path, "train")
    leaks = found_in(export, read(tmp_path / "test.jsonl", tmp_path), root=tmp_path)
    assert leaks.same == {"q1": "t1"} and leaks.assets == {}


def test_what_was_set_aside_as_a_test_was_not_trained_on(tmp_path):
    """Unless another run of the chain has trained on it."""
    file = tmp_path / "train.jsonl"
    manifest(file, [("t1", "Who barks?", "1.wav"), ("t2", "Who sings?", "2.wav")])
    manifest(tmp_path / "test.jsonl", [("q1", "Who barks?", "x/1.wav")])
    samples = read(tmp_path / "test.jsonl", tmp_path)
    first = run(tmp_path, "a", tmp_path, "train")
    aside = {"id": "t1", "reason": "known_test", "detail": "", "path": str(file)}
    first.with_name("quarantine.jsonl").write_text(json.dumps(aside) + "\n")
    leaks = found_in(first, samples, root=tmp_path)
    assert (leaks.trained, leaks.assets, leaks.same) == (1, {}, {})
    second = run(tmp_path, "b", tmp_path, "train", start=str(first))
    assert found_in(second, samples, root=tmp_path).same == {"q1": "t1"}


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
    assert overlap_notes({("test", "tiny"): leaks}) == [
        "what Qwen/Qwen2.5-Omni-3B was trained on is not known here"
    ]
    assert not leaks.assets and not leaks.alike


def test_a_manifest_that_is_gone_is_said(tmp_path):
    manifest(tmp_path / "test.jsonl", TEST)
    export = run(tmp_path, "a", tmp_path, "gone")
    leaks = found_in(export, read(tmp_path / "test.jsonl", tmp_path), root=tmp_path)
    assert (
        f"{tmp_path}/gone.jsonl, which is not there" in overlap_notes({("test", "sft"): leaks})[-2]
    )


def test_a_wording_has_a_line_for_each_option():
    assert wording("Who?", ("a dog", 3)) == "Who?\na dog\n3"


def test_no_code_is_run_that_the_settings_of_another_run_name(tmp_path):
    """Weights of a stranger may come with such settings."""
    manifest(tmp_path / "train.jsonl", TRAIN)
    (tmp_path / "evil.py").write_text("raise SystemExit('run')\ndef rows(row, place): ...")
    export = run(tmp_path, "stranger", tmp_path, "train")
    file = export.parent / "config.yaml"
    name = f"{tmp_path}/evil.py:rows@{digest_of((tmp_path / 'evil.py').read_bytes())}"
    file.write_text(file.read_text().replace('"auto"', json.dumps(name)))
    leaks = found_in(export, read(tmp_path / "train.jsonl", tmp_path), root=tmp_path)
    assert leaks.trained == 0
    assert [one for one in leaks.unknown if "in a format of its own" in one]
