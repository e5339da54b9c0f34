import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from torch.utils.data import DataLoader

from configs.schema import ContributionConfig, DataConfig, MediaConfig
from datamodules.probe_cache import ProbeRow, write_shard
from datamodules.questions import InOrder, QuestionSet, Shuffled, load_questions
from datamodules.selection import select_questions

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


def probed(data: DataConfig, questions: QuestionSet, correct: dict[str, int]) -> DataConfig:
    """Cache one text-only answer for each sample named; return a config that filters by it."""
    rows = [
        ProbeRow(
            sample_id=s.id,
            content_hash=s.content_hash,
            probe_key=KEY,
            condition="text_only",
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
    return data


def contribution(data: DataConfig, **settings: str) -> DataConfig:
    chosen = ContributionConfig(rule="vidground", **settings)
    return DataConfig(name="six", root=data.root, media=BUDGET, contribution=chosen)


def test_batches_of_one_seed_are_the_same_wherever_they_start(questions):
    def walk(first: int, count: int) -> list[list[str]]:
        batches = iter(
            Shuffled(
                questions,
                batch_size=2,
                seed=5,
                first_step=first,
                rank=0,
                world=1,
                with_targets=False,
            )
        )
        return [[sample.id for sample in next(batches).samples] for _ in range(count)]

    assert walk(0, 7)[3:] == walk(3, 4)


def test_in_order_asks_each_question_once(questions):
    asked = [sample.id for batch in InOrder(questions, batch_size=4) for sample in batch.samples]
    assert asked == [f"q{number}" for number in range(6)]


def test_in_order_stops_at_its_limit(questions):
    batches = InOrder(questions, batch_size=2, limit=3)
    assert [len(batch) for batch in batches] == [2, 1]


def test_withholding_drops_the_medium_and_its_placeholder(questions):
    full = questions.batch([0, 3], step=0)
    deaf = questions.under("no_audio", "absent").batch([0, 3], step=0)
    assert full.images is not None and full.audio is not None
    assert deaf.images is not None and deaf.audio is None
    assert deaf.prompt_lens[0] == full.prompt_lens[0]
    assert deaf.prompt_lens[1] < full.prompt_lens[1]


def test_silence_keeps_the_placeholders(questions):
    full = questions.batch([3], step=0)
    silent = questions.under("no_audio", "silent").batch([3], step=0)
    assert silent.prompt_lens == full.prompt_lens
    assert not silent.audio.equal(full.audio)


def test_damaged_media_are_quarantined_and_counted(questions, data, tmp_path):
    (tmp_path / "1.png").write_bytes(b"not a picture")
    batch = questions.batch([0, 1, 2], step=0)
    assert [sample.id for sample in batch.samples] == ["q0", "q2"]
    rows = [json.loads(line) for line in (tmp_path / "quarantine.jsonl").read_text().splitlines()]
    assert [(row["id"], row["path"]) for row in rows] == [("q1", "1.png")]


def test_a_batch_of_which_nothing_can_be_read_does_not_stop_a_run(questions, tmp_path):
    """In order it is passed over; in training the next readable question stands in."""
    (tmp_path / "0.png").write_bytes(b"not a picture")
    assert [batch is None for batch in InOrder(questions, batch_size=1)] == [True] + [False] * 5
    shuffled = iter(
        Shuffled(questions, batch_size=1, seed=0, first_step=0, rank=0, world=1, with_targets=False)
    )
    read = [next(shuffled).samples[0].id for _ in range(6)]
    assert len(read) == 6 and "q0" not in read


def test_loader_processes_read_the_same(questions):
    batches = InOrder(questions, batch_size=4)
    beside = DataLoader(
        batches, batch_size=None, num_workers=1, multiprocessing_context="forkserver"
    )
    for one, other in zip(batches, beside, strict=True):
        assert torch.equal(one.prompt_ids, other.prompt_ids)


def test_too_many_damaged_media_stop_the_run(questions, tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"not a picture")
    for number in (3, 4):
        (tmp_path / f"{number}.wav").write_bytes(b"not a sound")
    with pytest.raises(ValueError, match=r"data.max_bad_share is 0.5"):
        for number in range(5):
            questions.batch([number, 5], step=number)


def test_vidground_drops_what_text_alone_answers(data, questions, tmp_path):
    """q0 is answered blind; q1-q4 are not; q5 has nothing to withhold and is kept."""
    probed(data, questions, {"q0": 1, "q1": 0, "q2": 0, "q3": 0, "q4": 0})
    kept = select_questions(questions.samples, contribution(data), run_dir=tmp_path)
    assert [sample.id for sample in kept] == ["q1", "q2", "q3", "q4", "q5"]
    rows = [json.loads(line) for line in (tmp_path / "selection.jsonl").read_text().splitlines()]
    assert rows[0] == {"id": "q0", "kept": False, "decision": "weak"}
    assert rows[5]["decision"] == "undefined" and "withholds nothing" in rows[5]["reason"]


def test_weak_is_the_other_part(data, questions, tmp_path):
    probed(data, questions, {"q0": 1, "q1": 0, "q2": 1, "q3": 0, "q4": 0})
    kept = select_questions(questions.samples, contribution(data, keep="weak"), run_dir=tmp_path)
    assert [sample.id for sample in kept] == ["q0", "q2"]


def test_missing_scores_name_the_command(data, questions, tmp_path):
    probed(data, questions, {"q0": 1, "q1": 0})
    with pytest.raises(ValueError, match=r"3 of 6 .*'q2'.*stage=probe.*keep=all"):
        select_questions(questions.samples, contribution(data), run_dir=tmp_path)


@pytest.mark.parametrize(
    ("on_missing", "keep", "ids"),
    [
        ("keep", "strong", ["q1", "q2", "q3", "q4", "q5"]),
        ("drop", "strong", ["q1", "q5"]),
        ("keep", "weak", ["q0", "q2", "q3", "q4"]),
        ("drop", "weak", ["q0"]),
    ],
)
def test_missing_scores_can_be_kept_or_dropped(data, questions, tmp_path, on_missing, keep, ids):
    probed(data, questions, {"q0": 1, "q1": 0})
    wanted = contribution(data, on_missing=on_missing, keep=keep)
    kept = select_questions(questions.samples, wanted, run_dir=tmp_path)
    assert [sample.id for sample in kept] == ids


def test_no_probe_names_the_command(data, questions, tmp_path):
    with pytest.raises(ValueError, match="stage=probe"):
        select_questions(questions.samples, contribution(data), run_dir=tmp_path)


def test_changed_answers_never_meet_old_scores(data, questions, encoder, tmp_path):
    probed(data, questions, {f"q{number}": 1 for number in range(5)})
    manifest = tmp_path / "train.jsonl"
    manifest.write_text(manifest.read_text().replace('"answer": "8"', '"answer": "3"', 1))
    changed = load_questions(data, "train", encoder, run_dir=tmp_path)
    with pytest.raises(ValueError, match=r"1 of 6 .*'q0'"):
        select_questions(changed.samples, contribution(data), run_dir=tmp_path)
