"""Guards between training, validation and tests."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from configs.schema import DataConfig, MediaConfig
from datamodules.contamination.clean_view import CleanView, JudgedQuestion, view_text
from datamodules.contamination.splits import check_splits, held_out, shared_assets, without_tests
from datamodules.sample import Media, Sample
from datamodules.sources.index.table import SampleTable, write_table
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from tests.conftest import make_sample

BUDGET = MediaConfig(image_max_pixels=3136, video_max_frames=8, audio_max_seconds=2.5)
NONE = Quarantine(max_bad_share=0)
VIEW = CleanView(
    set="s", rule="soft", numbers={}, condition="text_only", how="absent", probes=[], rows=[]
)  # fmt: skip


def data(folder: Path, **settings: object) -> DataConfig:
    return DataConfig(name="some", root=str(folder), media=BUDGET, **settings)


def sample(name: str, asset: str, *, media: bool = True) -> Sample:
    shown = (Media(modality="audio", path=asset),) if media else ()
    return make_sample(name, asset_id=asset, content_hash=name * 32, media=shown)


def read(folder: Path, split: str) -> list[Sample]:
    return read_manifest(folder / f"{split}.jsonl", folder, Quarantine(max_bad_share=0))


def judge(folder: Path, samples: Sequence[Sample]) -> None:
    """Leave a view of these questions."""
    rows = [
        JudgedQuestion(
            id=one.id, content_hash=one.content_hash, band="strong", kept=True, reason=""
        )
        for one in samples
    ]
    (folder / "views").mkdir()
    view = CleanView(**vars(VIEW) | {"rows": rows})
    (folder / "views" / "s.soft.jsonl").write_text(view_text(view))


def test_questions_are_counted_by_the_asset_that_both_are_about():
    train = [sample("a", "1"), sample("b", "2"), sample("c", "3")]
    val = [sample("d", "2"), sample("e", "2"), sample("f", "3"), sample("g", "4")]
    assert shared_assets(train, val) == {"2": 2, "3": 1}
    assert shared_assets(val, train) == {"2": 1, "3": 1}
    assert shared_assets(train, []) == {}


def test_splits_of_a_table_are_compared_without_making_its_samples(tmp_path):
    """Options that are null make no sample: of the first two questions, nobody needs one."""
    rows = [sample("a", "1"), sample("b", "2"), sample("c", "3")]
    broken = [replace(one, options=None) for one in rows[:2]]
    write_table(tmp_path / "rows.arrow", [*broken, rows[2]], lambda _: (1, 1, 1))
    train = SampleTable(tmp_path / "rows.arrow", root=tmp_path)
    assert shared_assets(train, [sample("d", "2")]) == {"2": 1}
    sides = [[places.tolist() for places in held_out(some, 0.3)] for some in (train, rows)]
    assert sides[0] == sides[1]
    judge(tmp_path, rows[2:])
    few = data(tmp_path, train="mine", max_test_share=0.4)
    assert len(without_tests(train, tmp_path / "mine.jsonl", few, Quarantine(max_bad_share=0))) == 2


def test_splits_of_digits_are_disjoint(root):
    splits = {name: read(root, name) for name in ("warm", "train", "val", "test", "annotated")}
    for name in ("warm", "train", "annotated"):
        assert shared_assets(splits[name], splits["val"]) == {}
        assert shared_assets(splits[name], splits["test"]) == {}
        check_splits(splits[name], splits["val"], data(root, train=name))


def test_digits_choose_no_checkpoint_by_their_test_set(root):
    with pytest.raises(ValueError, match=r"data\.val=test reads test\.jsonl, a test set by its na"):
        check_splits(read(root, "train"), read(root, "test"), data(root, val="test"))


def test_digits_may_be_judged_and_trained_on_after_that(root, tmp_path):
    """Sums in words alone, which come in several splits, are no leak."""
    judge(tmp_path, read(root, "test"))
    for split in ("train", "val"):
        samples = read(root, split)
        assert without_tests(samples, root / split, data(tmp_path), NONE) is samples


@pytest.mark.parametrize(
    "name", ["test", "test_human", "testmini", "mmau-test-mini", "my_test", "bench/Test.json"]
)
def test_names_say_what_is_a_test_set(tmp_path, name):
    for setting in ("train", "val"):
        with pytest.raises(ValueError, match="no checkpoint is chosen by a test set, nor trained"):
            check_splits([], [], data(tmp_path, **{setting: f"hard+{name}"}))


@pytest.mark.parametrize("name", ["latest", "contest", "val", "tested.d/easy"])
def test_other_names_say_no_such_thing(tmp_path, name):
    check_splits([], [], data(tmp_path, val=name))


def test_a_published_benchmark_is_known_by_its_fields(tmp_path):
    row = {"audio_id": "1.wav", "question": "?", "choices": ["a", "b"], "answer": "a"}
    row |= {"id": "1", "task": "sound", "difficulty": "easy", "dataset": "d", "split": "mini"}
    (tmp_path / "easy.json").write_text(json.dumps([row]))
    with pytest.raises(ValueError, match=r"easy\.json, a published benchmark"):
        check_splits([], [], data(tmp_path, val="easy.json"))


def test_what_is_not_read_may_be_a_test_set(tmp_path):
    """With data.val_share nothing reads data.val."""
    check_splits([], [], data(tmp_path, val="test", val_share=0.1))


def test_questions_that_a_view_has_judged_are_a_test_set(tmp_path):
    """Two of three, of which all are listed, and 0.67 of the manifest sets them aside."""
    judge(tmp_path, [sample("b", "2"), sample("c", "3"), sample("d", "4")])
    rows = [sample("a", "1"), sample("c", "3"), sample("b", "2")]
    listed = Quarantine(max_bad_share=0, run_dir=tmp_path)
    match = (
        r"2 of the 3 questions of mine.jsonl .*\(2 of s, as .*such as 'c', 'b'; .*quarantine.jsonl"
    )
    with pytest.raises(ValueError, match=rf"{match} lists all\).* data.max_test_share=0.67 to set"):
        without_tests(rows, tmp_path / "mine.jsonl", data(tmp_path), listed)
    aside = [json.loads(line)["id"] for line in (tmp_path / "quarantine.jsonl").open()]
    assert aside == ["c", "b"]
    most = data(tmp_path, max_test_share=0.67)
    counted = Quarantine(max_bad_share=0)
    assert without_tests(rows, tmp_path / "mine.jsonl", most, counted) == rows[:1]
    assert counted.counts == {"known_test": 2}


def test_a_question_under_another_name_is_not_validated_by(tmp_path):
    train, val = [sample("a", "1"), sample("b", "2")], [replace(sample("b", "9"), id="copy")]
    val += [sample("c", "3"), sample("d", "2")]
    with pytest.raises(ValueError, match=r"1 of 2 validation .*'copy' and 'b'; .*val_overlap=skip"):
        check_splits(train, val[:2], data(tmp_path), run_dir=tmp_path)
    skip = data(tmp_path, val_overlap="skip")
    assert check_splits(train, val, skip, run_dir=tmp_path) == val[1:2]
    listed = [json.loads(line) for line in (tmp_path / "shared.jsonl").open()]
    assert listed == [
        {"id": "copy", "asset_id": "9", "trained_as": "b"},
        {"id": "d", "asset_id": "2", "trained_as": None},
    ]
    with pytest.raises(ValueError, match="1 of 1 validation questions are training questions"):
        check_splits(train, val[:1], skip)  # which would leave nothing to validate by


def test_questions_of_words_alone_may_come_twice(tmp_path):
    judge(tmp_path, [sample("b", "2", media=False)])
    check_splits([], [sample("b", "2", media=False)], data(tmp_path))


def test_shared_assets_are_named_with_the_way_out(tmp_path):
    train = [sample("a", "1"), sample("b", "2")]
    with pytest.raises(ValueError, match=r"1 assets \(2\) .* 2 questions of data\.val=easy") as e:
        check_splits(train, [sample("c", "2"), sample("d", "2")], data(tmp_path, val="easy"))
    assert "data.val_share=0.05" in str(e.value)


def test_assets_are_held_out_whole():
    samples = [sample(f"{n}-{k}", f"asset {n}") for n in range(400) for k in range(3)]
    train, val = held_out(samples, 0.25)
    assert sorted([*train, *val]) == list(range(1200))
    assert shared_assets([samples[n] for n in train], [samples[n] for n in val]) == {}
    assert len(val) == pytest.approx(300, abs=60)  # 100 of 400 assets, +- 2.3 of its deviations


def test_the_side_of_an_asset_does_not_depend_on_the_others():
    samples = [sample(str(n), f"asset {n}") for n in range(100)]
    _, val = held_out(samples, 0.3)
    _, backwards = held_out(samples[::-1], 0.3)
    assert [*val] == [*(99 - backwards[::-1])]
    _, more = held_out(samples, 0.5)
    assert {*val} < {*more}


def test_assets_behind_the_same_question_are_held_out_together():
    """Copies join asset 0 to 1, 1 to 2 and so on to 9, as the first of them; of words alone, they
    join nothing."""
    chain = [
        replace(sample("x", f"asset {n + k}"), content_hash=str(n))
        for n in range(9)
        for k in (0, 1)
    ]
    alone = [sample("y", f"asset {n}") for n in range(10, 60)]
    same_words = [
        replace(sample("z", f"asset {n}", media=False), content_hash="words") for n in range(60)
    ]
    samples = [*chain, *(replace(one, content_hash=one.asset_id) for one in alone), *same_words]
    for share in (0.2, 0.5, 0.8):
        _, val = held_out(samples, share)
        out = {samples[n].asset_id for n in val}
        _, backwards = held_out(samples[::-1], share)
        assert out == {samples[::-1][n].asset_id for n in backwards}
        assert len(out & {f"asset {n}" for n in range(10)}) in (0, 10)
        assert 0 < len(out & {f"asset {n}" for n in range(10, 60)}) < 50


@pytest.mark.parametrize(
    ("share", "left"), [(1.0, "0 questions to train on and 2"), (1e-9, "2 .* 0")]
)
def test_both_sides_need_questions(share, left):
    with pytest.raises(ValueError, match=f"data.val_share is {share}.* leaves {left}"):
        held_out([sample("a", "1"), sample("b", "2")], share)
