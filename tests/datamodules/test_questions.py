"""What a run reads, and what of the probe cache and the trainer's step it depends on."""

import json
import logging
from collections import Counter
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import lightning as L
import numpy as np
import pytest
from PIL import Image

from configs.inputs import MixtureConfig
from configs.schema import ContributionConfig, DataConfig
from datamodules.loading.question_set import QuestionSet, load_questions, load_splits
from datamodules.loading.views import ViewSettings
from datamodules.media.ablation import MediaAblation
from datamodules.questions import QuestionData
from datamodules.sources.index.manifest_index import open_samples
from tests.datamodules.contribution.conftest import probed as cached
from tests.datamodules.loading.conftest import six_questions

BLIND = {"q0": 1, "q1": 0, "q2": 0, "q3": 1, "q4": 0}


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    return six_questions(tmp_path)


@pytest.fixture
def questions(data, encoder, tmp_path) -> QuestionSet:
    return load_questions(data, "train", encoder, run_dir=tmp_path)


def probed(
    data: DataConfig, questions: QuestionSet, correct: dict[str, int], **setting: object
) -> None:
    """Cache one answer for each sample named."""
    cached(Path(data.root), correct, n=1, samples=questions.samples, **setting)


def filtered(data: DataConfig, **settings: object) -> DataConfig:
    return replace(data, contribution=ContributionConfig(rule="vidground", **settings))


def module(data: DataConfig, encoder, tmp_path: Path, **settings: object) -> QuestionData:
    made = QuestionData(data, encoder, seed=3, batch_size=2, run_dir=tmp_path, **settings)
    made.setup()
    made.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    return made


def test_a_run_reads_what_the_rule_keeps(data, questions, encoder, tmp_path):
    """q0 and q3 are answered blind; q5 has nothing to withhold and is kept. Two epochs."""
    probed(data, questions, BLIND)
    loader = module(filtered(data), encoder, tmp_path).train_dataloader()
    ids = Counter(sample.id for [batch] in islice(loader, 4) for sample in batch.samples)
    assert ids == {"q1": 2, "q2": 2, "q4": 2, "q5": 2}


def test_curriculum_steps_are_optimizer_steps(data, questions, encoder, tmp_path):
    """One step of three micro-batches reads weak ones."""
    probed(data, questions, BLIND)
    run = module(filtered(data, curriculum_steps=1), encoder, tmp_path, micro_batches=3)
    steps = islice(run.train_dataloader(), 2)
    read = [[one.id for one in batch.samples] for batch in chain(*steps)]
    assert [sorted(ids) for ids in read[:3]] == [["q0", "q3"]] * 3
    assert sorted(chain(*read[3:5])) == ["q1", "q2", "q4", "q5"]


@pytest.mark.parametrize(
    ("steps", "weak"), [(1, 2), (2, 4), (3, 4), (4, 4), (5, 6), (6, 8), (7, 8), (8, 8)]
)
def test_curriculum_steps_end_within_rounds(data, questions, encoder, tmp_path, steps, weak):
    """A round of four micro-batches feeds four optimizer steps, two of them with the first two.

    Steps 2 and 3 of a round see again what steps 0 and 1 were the first to see.
    """
    probed(data, questions, BLIND)
    shape = {"accumulate": 2, "updates": 4, "micro_batches": 4}
    run = module(filtered(data, curriculum_steps=steps), encoder, tmp_path, **shape)
    rounds = islice(run.train_dataloader(), 3)
    read = [sorted(one.id for one in batch.samples) for batch in chain(*rounds)]
    assert read[:weak] == [["q0", "q3"]] * weak
    assert sorted(chain(*read[weak : weak + 2])) == ["q1", "q2", "q4", "q5"]


@pytest.mark.parametrize("step", [4, 5])
def test_rounds_continue_where_the_trainer_stands(data, encoder, tmp_path, monkeypatch, step):
    """Two updates a round: after four steps, and after one of the third round, comes the third."""
    run = module(data, encoder, tmp_path, updates=2, micro_batches=3)
    whole = list(islice(run.train_dataloader(), 4))
    monkeypatch.setattr(L.Trainer, "global_step", step)
    [batches] = islice(run.train_dataloader(), 1)
    assert [batch.step for batch in batches] == [2] * 3
    assert [batch.samples for batch in batches] == [batch.samples for batch in whole[2]]


@pytest.mark.parametrize(("workers", "done"), [(0, 3), (1, 0), (2, 3), (3, 0), (3, 3)])
def test_any_number_of_workers_reads_the_same_lists(
    data, encoder, tmp_path, monkeypatch, workers, done
):
    """Seven lists in order, from the first or from where a run stood after three."""
    shape = {"micro_batches": 2, "with_targets": True}
    expected = list(islice(module(data, encoder, tmp_path, **shape).train_dataloader(), done + 7))
    monkeypatch.setattr(L.Trainer, "global_step", done)
    run = module(replace(data, workers=workers), encoder, tmp_path, **shape)
    read = list(islice(run.train_dataloader(), 7))
    for one, other in zip(chain(*read), chain(*expected[done:]), strict=True):
        assert (one.step, one.samples, one.targets) == (other.step, other.samples, other.targets)
        assert one.prompt_ids.equal(other.prompt_ids)


@pytest.mark.parametrize("workers", [0, 1])
def test_loaders_hand_out_whole_rounds_with_their_views(data, encoder, tmp_path, workers):
    views = {"blind": ViewSettings(ablation=MediaAblation(condition="text_only", how="noise"))}
    shape = {"updates": 2, "micro_batches": 3, "views": views}
    run = module(replace(data, workers=workers), encoder, tmp_path, **shape)
    for number, batches in enumerate(islice(run.train_dataloader(), 2)):
        assert [batch.step for batch in batches] == [number] * 3
        for batch in batches:
            blind = batch.views["blind"]
            assert blind.samples == batch.samples and blind.prompt_ids.equal(batch.prompt_ids)


def test_refills_are_of_the_pool_that_the_run_reads(data, questions, encoder, tmp_path):
    """Weak ones in the round of the curriculum, which are q0 and q3, and then the other four."""
    probed(data, questions, BLIND)
    run = module(filtered(data, curriculum_steps=1), encoder, tmp_path)
    rounds = islice(run.train_dataloader(), 2)
    read = [{sample.id for sample in batch.samples} for [batch] in rounds]
    assert read[0] == {"q0", "q3"} and run.prompt_resampler().batch(0, 0) is None
    refilled = run.prompt_resampler().batch(1, 0)
    assert {sample.id for sample in refilled.samples} == {"q1", "q2", "q4", "q5"} - read[1]


def test_imitation_is_filtered_and_weighted_too(data, questions, encoder, tmp_path):
    """Right in full where not without: q1 and q2; q4 is not right at all, q0 and q3 are weak."""
    probed(data, questions, BLIND)
    probed(data, questions, BLIND | {"q1": 1, "q2": 1}, condition="full")
    weighted = filtered(data, weighted=True, on_missing="drop")
    loader = module(weighted, encoder, tmp_path, with_targets=True).train_dataloader()
    batches = list(chain(*islice(loader, 6)))
    assert all(batch.targets for batch in batches)
    ids = Counter(sample.id for batch in batches for sample in batch.samples)
    assert ids.keys() == {"q1", "q2", "q5"} and ids["q1"] > 3 < ids["q2"]


def traced(questions: QuestionSet, tmp_path: Path, numbers: dict[str, list[int]]) -> Path:
    """Write the traces of some questions by their numbers, each saying its own name."""
    rows = [
        {
            "id": sample.id,
            "content_hash": sample.content_hash,
            "number": number,
            "completion": f"{sample.id} {number}",
            "kept": True,
        }
        for sample in questions.samples
        for number in numbers.get(sample.id, ())
    ]
    file = tmp_path / "traces.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_traces_of_the_questions_kept_are_imitated(data, questions, encoder, tmp_path):
    """q0 is filtered out, q2 and q5 have no trace, and q1 has two; two epochs of three. What was
    selected is told of the manifest, as it was."""
    probed(data, questions, BLIND)
    traces = traced(questions, tmp_path, {"q0": [0], "q1": [1, 4], "q4": [2]})
    run = module(filtered(data), encoder, tmp_path, traces=traces, with_targets=True)
    batches = list(chain(*islice(run.train_dataloader(), 3)))
    ids = Counter(sample.id for batch in batches for sample in batch.samples)
    assert ids == {"q1#1": 2, "q1#4": 2, "q4#2": 2}
    for batch in batches:
        said = [encoder.tokenizer.decode(target[:-1]) for target in batch.targets]
        assert said == [sample.id.replace("#", " ") for sample in batch.samples]
    assert run.train_questions.samples == questions.samples
    assert run.selected.kept.tolist() == [1, 2, 4, 5]


def test_traces_are_read_as_often_as_their_questions(data, questions, encoder, tmp_path):
    """q4 weighs nothing and has two traces, q1 and q2 alike, q5 as much as the mean of the three;
    their traces are read 12/5, 12/5 and 8/5 times in an epoch of six and less."""
    probed(data, questions, BLIND)
    probed(data, questions, BLIND | {"q1": 1, "q2": 1}, condition="full")
    traces = traced(questions, tmp_path, {"q1": [0], "q2": [3], "q4": [0, 1], "q5": [2]})
    weighted = filtered(data, weighted=True, on_missing="drop")
    run = module(weighted, encoder, tmp_path, traces=traces, with_targets=True)
    batches = chain(*islice(run.train_dataloader(), 10))
    ids = Counter(sample.id for batch in batches for sample in batch.samples)
    assert ids.keys() == {"q1#0", "q2#3", "q5#2"}


def test_a_curriculum_imitates_traces_of_weak_questions_first(data, questions, encoder, tmp_path):
    probed(data, questions, BLIND)
    traces = traced(questions, tmp_path, {"q0": [5], "q1": [1], "q3": [6], "q4": [2]})
    settings = filtered(data, curriculum_steps=1)
    run = module(settings, encoder, tmp_path, traces=traces, with_targets=True)
    first, second = chain(*islice(run.train_dataloader(), 2))
    assert {sample.id for sample in first.samples} == {"q0#5", "q3#6"}
    assert {sample.id for sample in second.samples} == {"q1#1", "q4#2"}


def test_traces_are_answers(data, questions, encoder, tmp_path):
    traces = traced(questions, tmp_path, {"q1": [0]})
    with pytest.raises(ValueError, match=r"data\.task=describe .*sft\.traces=.*leave one"):
        module(replace(data, task="describe"), encoder, tmp_path, traces=traces)


def test_a_mixture_shares_out_the_tokens_of_completions(data, encoder, tmp_path):
    """As many tokens of three pictures as of one text, whose completion is longer; no sounds."""
    manifest = tmp_path / "train.jsonl"
    *rows, last = map(json.loads, manifest.read_text().splitlines())
    rows.append(last | {"completion": "Nothing is to be seen, so I guess: <answer>B</answer>"})
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    mixture = MixtureConfig(by="modality", shares=["image:1", "text:1"], unit="output_tokens")
    run = module(replace(data, mixture=mixture), encoder, tmp_path, with_targets=True)
    tokens: Counter[str] = Counter()
    lens = set()
    for [batch] in islice(run.train_dataloader(), 90):
        for kinds, target in zip(batch.media, batch.targets, strict=True):
            tokens["+".join(kinds)] += len(target)
            lens.add(len(target))
    assert len(lens) == 2 and max(lens) > 2 * min(lens)
    assert tokens.keys() == {"", "image"}
    assert tokens[""] == pytest.approx(tokens["image"], rel=0.05)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_prompts_of_an_optimizer_step_are_packed(data, encoder, tmp_path, workers):
    """Into one micro-batch, of six in three, where the budget has room; the same ones."""
    shape = {"micro_batches": 3, "with_targets": True}
    plain = module(data, encoder, tmp_path, **shape).train_dataloader()
    data = replace(data, workers=workers)
    cut = module(data, encoder, tmp_path, pack_tokens=4000, **shape).train_dataloader()
    for batches, [pack] in islice(zip(plain, cut, strict=True), 2):
        assert pack.samples == [sample for batch in batches for sample in batch.samples]


def test_changed_answers_never_meet_old_scores(data, questions, encoder, tmp_path):
    probed(data, questions, {f"q{number}": 1 for number in range(5)})
    manifest = tmp_path / "train.jsonl"
    manifest.write_text(manifest.read_text().replace('"answer": "8"', '"answer": "3"', 1))
    with pytest.raises(ValueError, match=r"1 of 6 .*'q0'"):
        module(filtered(data), encoder, tmp_path)


def test_whole_assets_are_held_out_for_validation_and_counted(data, encoder, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    everything = load_questions(data, "train", encoder, run_dir=tmp_path).samples
    train, val = load_splits(
        replace(data, val_share=0.5), encoder, validate=False, run_dir=tmp_path
    )
    assert {one.asset_id for one in train.samples}.isdisjoint(one.asset_id for one in val.samples)
    assert len(train.samples) + len(val.samples) == len(everything) == 6
    assert min(len(train.samples), len(val.samples)) > 0
    told = f"data.val_share=0.5 holds out {len(val.samples)} questions; {len(train.samples)} are"
    assert told in caplog.text


def test_a_run_trains_on_what_is_not_held_out_and_is_validated_by_the_rest(data, encoder, tmp_path):
    run = module(replace(data, val_share=0.5), encoder, tmp_path)
    learned = {one.id for [batch] in islice(run.train_dataloader(), 6) for one in batch.samples}
    scored = {one.id for batch in run.val_dataloader() for one in batch.samples}
    assert learned | scored == {"q0", "q1", "q2", "q3", "q4", "q5"}
    assert not learned & scored


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_share_the_validation_questions(data, encoder, tmp_path, monkeypatch, workers):
    """Five of six questions, in two batches of the four and one that one process reads; of three
    processes the last has none."""
    settings = replace(data, train=data.val, val=data.train, workers=workers)
    (tmp_path / f"{data.val}.jsonl").write_text("")
    run = module(settings, encoder, tmp_path, val_samples=5)
    monkeypatch.setattr(L.Trainer, "world_size", 3)
    read = []
    for rank in range(3):
        monkeypatch.setattr(L.Trainer, "global_rank", rank)
        read.append([[one.id for one in batch.samples] for batch in run.val_dataloader()])
    assert read == [[["q0", "q1", "q2", "q3"]], [["q4"]], []]


def test_validation_by_what_is_trained_on_is_refused(data, encoder, tmp_path):
    both = replace(data, val=data.train)
    with pytest.raises(ValueError, match=r"data\.train=train and behind .* data\.val=train"):
        load_splits(both, encoder, validate=True, run_dir=tmp_path)
    load_splits(both, encoder, validate=False, run_dir=tmp_path)  # nothing is chosen by it


def test_training_on_a_test_set_is_refused(data, encoder, tmp_path):
    Path(data.root, "train.jsonl").rename(Path(data.root, "test.jsonl"))
    with pytest.raises(ValueError, match=r"no checkpoint is chosen by a test set"):
        load_splits(replace(data, train="test"), encoder, validate=False, run_dir=tmp_path)


def test_media_that_changed_since_a_large_manifest_was_indexed_are_quarantined(
    data, questions, tmp_path
):
    root = Path(data.root)
    questions.samples = open_samples(root / "train.jsonl", root, questions.quarantine, above=0)
    [medium] = questions.samples[0].media
    Image.fromarray(np.full((28, 28, 3), 9, dtype=np.uint8)).save(root / medium.path)
    assert questions.batch([0], step=0) is None
    [row] = map(json.loads, (tmp_path / "quarantine.jsonl").read_text().splitlines())
    assert row["id"] == questions.samples[0].id and row["reason"] == "changed"
