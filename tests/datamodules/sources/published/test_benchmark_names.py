"""Published test sets, known by the names of files and folders, and by what rows say."""

import json
from pathlib import Path

import pytest

from datamodules.contamination.splits import check_splits
from datamodules.loading.question_set import load_splits
from datamodules.sources.published.benchmark_names import (
    benchmark_named,
    named_in_fields,
    named_in_path,
)
from datamodules.sources.published.known_tests import known_tests
from tests.datamodules.sources.published.test_known_tests import data, sample
from tests.format_media import FIXTURES, with_media


@pytest.mark.parametrize("name", [
    *("eval_worldsense", "eval_mmvu", "eval_videomme", "eval_videommmu", "eval_mvbench"),
    *("eval_tempcompass", "eval_vsibench", "WorldSenseQA", "OmniBench", "av_odyssey_part1"),
    *("AV-Odyssey-Bench", "UNO-Bench", "cg-av-counting", "lvb_val", "LongVideoBench", "mmsu"),
    *("Video-Holmes", "intentbench_qa", "mmau_v2", "daily-omni.qa", "OmniVideoBench_data"),
])  # fmt: skip
def test_names_of_published_files_are_known(name, tmp_path):
    assert benchmark_named(name)
    for setting in ("train", "val"):
        with pytest.raises(ValueError, match="by its name, but no checkpoint is chosen by a test"):
            check_splits([], [], data(tmp_path, **{setting: f"{name}.json"}))


@pytest.mark.parametrize("name", [
    *("AVQA-R1-6K", "LLaVA-Video-178K", "nextqa_train", "PerceptionTest/train", "Video-R1-260k"),
    *("audiomcq_without_mmau", "mix_no_mmar", "mmau_like", "worldsense-style", "train_mmau"),
    *("emer_rewrite", "social_iq_v2_rewrite", "OmniInstruct", "mmsummary", "omnibus", "lvbench"),
    *("intentbench_train", "StrongAC", "clotho_aqa", "eval", "CLEVRER/val", "latest"),
])  # fmt: skip
def test_names_of_training_files_are_not(name, tmp_path):
    assert benchmark_named(Path(name).stem) is None
    check_splits([], [], data(tmp_path, train=f"{name}.json", val="val"))


@pytest.mark.parametrize(
    ("root", "name", "told"),
    [
        ("WorldSense", "qa.json", "worldsense"),
        ("data", "OmniBench/data/train-00000-of-00001.parquet", "omnibench"),
        ("data", "Video-Holmes-main/qa.json", "video_holmes"),
        ("data", "AudioMCQ/benchmarks/some.jsonl", "benchmarks/"),
        ("data", "some/test/part.parquet", "test/"),
        ("benchmarks", "train.json", None),
        ("mmau_experiments", "train.json", None),
        ("data", "IntentTrain/emer_rewrite.json", None),
        ("data", "PerceptionTest/mc_train.json", None),
    ],
)
def test_folders_tell_a_test_set_as_well(root, name, told, tmp_path):
    assert named_in_path(tmp_path / root / name, tmp_path / root) == told


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"source": "WorldSense"}, "worldsense"),
        ({"source": "honglyhly/WorldSense"}, "worldsense"),
        ({"facts": [("dataset", "OmniBench")]}, "omnibench"),
        ({"facts": [("split", "test-mini")]}, "split=test-mini"),
        ({"id": "mmsu-12"}, "mmsu"),
        ({"folders": ["Evaluation/LongVideoBench/videos"]}, "longvideobench"),
        ({"source": "LLaVA-Video-178K"}, None),
        ({"source": "mmau_like", "id": "mmau-like-3"}, None),
        ({"facts": [("dataset", "AudioSet"), ("split", "train"), ("note", "WorldSense")]}, None),
        ({"source": f"Of what WorldSense leaves out, {'and so on, ' * 9}the rest"}, None),
        ({"folders": ["NExT-QA/videos", "PerceptionTest", ""]}, None),
    ],
)
def test_rows_say_themselves_which_test_they_are_of(fields, told):
    nothing = {"id": "q7", "source": "train", "facts": [], "folders": ["clips"]}
    assert named_in_fields(**nothing | fields) == told


def test_rows_that_say_so_are_counted_with_the_others():
    ours = [sample(0), sample(1, source="worldsense"), sample(2, facts={"dataset": "MMSU"})]
    assert known_tests(ours) == {1: "worldsense", 2: "mmsu"}
    assert known_tests(ours, but="mmsu") == {1: "worldsense"}


def test_fields_tell_sets_of_unknown_questions_whatever_format_is_named(tmp_path):
    """MMSU is known by its fields alone; what only looks like MMAU may be trained on when named."""
    for excerpt, allowed in (("mmsu.jsonl", False), ("mmau_copy.jsonl", True)):
        path = tmp_path / "mine.jsonl"
        path.write_bytes((FIXTURES / excerpt).read_bytes())
        with pytest.raises(ValueError, match="a published benchmark"):
            check_splits([], [], data(tmp_path, train="mine"))
        named = data(tmp_path, train="mine", format="columns")
        if allowed:
            check_splits([], [], named)
        else:
            with pytest.raises(ValueError, match="a published benchmark"):
                check_splits([], [], named)


@pytest.mark.parametrize("form", ["intentbench", "video_holmes"])
def test_training_questions_in_the_form_of_a_benchmark_are_named(form, tmp_path):
    excerpt = FIXTURES / f"{form}_train.json"
    path = with_media(excerpt, tmp_path)
    mine = path.rename(path.with_name("mine.json")).name
    with pytest.raises(ValueError, match=rf"a published benchmark.*data\.format={form}_train"):
        check_splits([], [], data(tmp_path, train=mine))
    named = data(tmp_path, train=mine, val_share=0.0, format=f"{form}_train")
    train, _ = load_splits(named, None, validate=False, run_dir=tmp_path)
    assert len(train.samples) == len(json.loads(excerpt.read_text()))
    assert {one.source for one in train.samples} == {f"{form}_train"}
