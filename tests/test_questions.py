"""What a run reads at which step: pools, weights, curricula, stand-ins, and the cache behind."""

import json
from collections import Counter
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import soundfile
from PIL import Image

from configs.ablation import Condition
from configs.schema import ContributionConfig, DataConfig, MediaConfig
from datamodules.probe_cache import ProbeRow, write_shard
from datamodules.question_set import QuestionSet, load_questions
from datamodules.questions import Pool, QuestionData, Shuffled

BUDGET = MediaConfig(image_max_pixels=3136, video_max_frames=8, audio_max_seconds=2.0)
KEY = "a" * 32


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    """Six questions: three of a picture, two of a sound, one of neither."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        media = []
        if number < 3:
            pixels = rng.integers(0, 255, (56, 56, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
            media = [{"modality": "image", "path": f"{number}.png"}]
        elif number < 5:
            soundfile.write(tmp_path / f"{number}.wav", rng.normal(size=8000) * 0.1, 16_000)
            media = [{"modality": "audio", "path": f"{number}.wav"}]
        rows.append(
            {
                "id": f"q{number}",
                "question": "Which?",
                "options": ["3", "8"],
                "answer": "8",
                "media": media,
            }
        )
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")
    return DataConfig(name="six", root=str(tmp_path), media=BUDGET, max_bad_share=0.5)


@pytest.fixture
def questions(data, encoder, tmp_path) -> QuestionSet:
    return load_questions(data, "train", encoder, run_dir=tmp_path)


def probed(
    data: DataConfig,
    questions: QuestionSet,
    correct: dict[str, int],
    condition: Condition = "text_only",
) -> None:
    """Cache one answer for each sample named."""
    rows = [
        ProbeRow(
            sample_id=s.id,
            content_hash=s.content_hash,
            probe_key=KEY,
            condition=condition,
            how="absent",
            n=1,
            n_correct=correct[s.id],
            n_unparsed=0,
            option_seed=0,
            shard="1/1",
            time=0.0,
        )
        for s in questions.samples
        if s.id in correct
    ]
    write_shard(Path(data.root) / "probes", rows)


def filtered(data: DataConfig, **settings: object) -> DataConfig:
    return replace(data, contribution=ContributionConfig(rule="vidground", **settings))


def read(
    questions: QuestionSet, pool: Pool, batches: int, *, first: int = 0, **settings: object
) -> list[list[str]]:
    """List the questions of some batches of two, from the first one on that is asked for."""
    shuffled = Shuffled(
        questions,
        pool,
        **{"batch_size": 2, "seed": 5, "rank": 0, "world": 1, "with_targets": False, **settings},
        first_step=first,
    )
    return [[sample.id for sample in batch.samples] for batch in islice(shuffled, batches)]


ALL = Pool(places=range(6))
WEIGHTED = Pool(places=(0, 2, 3, 5), weights=np.array([3.0, 0, 1, 2]))


@pytest.mark.parametrize("pool", [ALL, WEIGHTED])
def test_batches_of_one_seed_are_the_same_wherever_they_start(questions, pool):
    assert read(questions, pool, 7)[3:] == read(questions, pool, 4, first=3)


def test_only_the_pool_is_read(questions):
    """Four questions in four batches of two: two epochs."""
    ids = Counter(chain(*read(questions, Pool(places=(1, 2, 4, 5)), 4)))
    assert ids == {"q1": 2, "q2": 2, "q4": 2, "q5": 2}


def test_weights_are_of_the_questions_in_the_pool(questions):
    """2, 0, 2/3 and 4/3 of the four questions of an epoch; three epochs."""
    ids = Counter(chain(*read(questions, WEIGHTED, 6)))
    assert ids["q0"] == 6 and ids["q3"] in (0, 1, 2, 3) and ids["q5"] in (3, 4, 5, 6)
    assert ids.keys() <= {"q0", "q3", "q5"}


def test_a_curriculum_comes_first_and_each_pool_counts_its_own_epochs(questions):
    """Three batches of the weak two, which is one epoch each; then those of a run without."""
    weak = Pool(places=(1, 4))
    both = read(questions, WEIGHTED, 7, curriculum=weak, curriculum_steps=3)
    assert [sorted(batch) for batch in both[:3]] == [["q1", "q4"]] * 3
    assert both[3:] == read(questions, WEIGHTED, 4)


@pytest.mark.parametrize("first", [2, 3, 5])
def test_a_curriculum_resumes_before_at_and_after_its_end(questions, first):
    how = {"curriculum": Pool(places=(1, 3, 4)), "curriculum_steps": 3}
    whole = read(questions, ALL, 8, **how)
    assert read(questions, ALL, 8 - first, first=first, **how) == whole[first:]


def test_a_batch_of_which_nothing_can_be_read_does_not_stop_a_run(questions, tmp_path):
    """The next readable question of the same pool stands in."""
    (tmp_path / "1.png").write_bytes(b"not a picture")
    ids = chain(*read(questions, Pool(places=(0, 1, 3)), 6, batch_size=1))
    assert Counter(ids) == {"q0": 2, "q3": 4}


def test_a_pool_that_cannot_be_read_is_an_error(questions, tmp_path):
    for number in (0, 1):
        (tmp_path / f"{number}.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="not one of 2 questions could be read"):
        read(questions, Pool(places=(0, 1)), 1)


def module(data: DataConfig, encoder, tmp_path: Path, **settings: object) -> QuestionData:
    made = QuestionData(data, encoder, seed=3, batch_size=2, run_dir=tmp_path, **settings)
    made.setup()
    made.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    return made


def test_a_run_reads_what_the_rule_keeps(data, questions, encoder, tmp_path):
    """q0 and q3 are answered blind; q5 has nothing to withhold and is kept. Two epochs."""
    probed(data, questions, {"q0": 1, "q1": 0, "q2": 0, "q3": 1, "q4": 0})
    loader = module(filtered(data), encoder, tmp_path).train_dataloader()
    ids = Counter(sample.id for batch in islice(loader, 4) for sample in batch.samples)
    assert ids == {"q1": 2, "q2": 2, "q4": 2, "q5": 2}


def test_curriculum_steps_are_optimizer_steps(data, questions, encoder, tmp_path):
    """One step of three micro-batches reads weak ones."""
    probed(data, questions, {"q0": 1, "q1": 0, "q2": 0, "q3": 1, "q4": 0})
    run = module(filtered(data, curriculum_steps=1), encoder, tmp_path, accumulate=3)
    read = [[one.id for one in batch.samples] for batch in islice(run.train_dataloader(), 5)]
    assert [sorted(ids) for ids in read[:3]] == [["q0", "q3"]] * 3
    assert sorted(chain(*read[3:])) == ["q1", "q2", "q4", "q5"]


def test_imitation_is_filtered_and_weighted_too(data, questions, encoder, tmp_path):
    """Right in full where not without: q1 and q2; q4 is not right at all, q0 and q3 are weak."""
    ablated = {"q0": 1, "q1": 0, "q2": 0, "q3": 1, "q4": 0}
    probed(data, questions, ablated)
    probed(data, questions, ablated | {"q1": 1, "q2": 1}, condition="full")
    weighted = filtered(data, weighted=True, on_missing="drop")
    loader = module(weighted, encoder, tmp_path, with_targets=True).train_dataloader()
    batches = list(islice(loader, 6))
    assert all(batch.targets for batch in batches)
    ids = Counter(sample.id for batch in batches for sample in batch.samples)
    assert ids.keys() == {"q1", "q2", "q5"} and ids["q1"] > 3 < ids["q2"]


def test_changed_answers_never_meet_old_scores(data, questions, encoder, tmp_path):
    probed(data, questions, {f"q{number}": 1 for number in range(5)})
    manifest = tmp_path / "train.jsonl"
    manifest.write_text(manifest.read_text().replace('"answer": "8"', '"answer": "3"', 1))
    with pytest.raises(ValueError, match=r"1 of 6 .*'q0'"):
        module(filtered(data), encoder, tmp_path)
