"""What is withheld stands beside what is shown, prompt by prompt."""

import json
from pathlib import Path

import pytest

from datamodules.loading.question_set import QuestionSet, load_questions
from datamodules.loading.views import ViewSettings, batch_with_views, make_view
from datamodules.media.ablation import MediaAblation
from tests.datamodules.loading.conftest import six_questions
from tests.datamodules.media.test_files import film


@pytest.fixture
def questions(tmp_path: Path, encoder) -> QuestionSet:
    return load_questions(six_questions(tmp_path), "train", encoder, run_dir=tmp_path)


def test_views_show_the_same_prompts_in_the_same_order(questions):
    """Two pictures, a sound and text: nothing to see, and nothing to hear either."""
    views = {"blind": questions.with_condition("text_only", "absent")}
    batch = batch_with_views(questions, views, [3, 5, 0, 0], step=4)
    blind = batch.views["blind"]
    assert [sample.id for sample in batch.samples] == ["q3", "q5", "q0", "q0"]
    assert all(one is other for one, other in zip(batch.samples, blind.samples, strict=True))
    assert batch.media == [("audio",), (), ("image",), ("image",)]
    assert blind.media == [()] * 4 and blind.images is None
    assert (batch.step, blind.step, blind.views) == (4, 4, {})


def test_a_batch_is_the_same_with_and_without_views(questions):
    views = {"blind": questions.with_condition("text_only", "noise")}
    plain = batch_with_views(questions, {}, [3, 0], step=1, with_targets=True)
    batch = batch_with_views(questions, views, [3, 0], step=1, with_targets=True)
    assert plain.views == {}
    assert batch.prompt_ids.equal(plain.prompt_ids) and batch.positions.equal(plain.positions)
    assert batch.images.equal(plain.images) and batch.audio.equal(plain.audio)
    assert batch.targets == plain.targets and batch.views["blind"].targets is None


def test_views_share_what_was_decoded(questions):
    """Two pictures and a sound, each in three showings."""
    views = {
        "blind": questions.with_condition("text_only", "noise"),
        "teacher": questions.with_condition("no_audio", "silent"),
    }
    batch_with_views(questions, views, [3, 5, 0, 1], step=0)
    assert questions.reader.decoded.misses == 3


def test_a_view_withholds_what_its_condition_says(questions):
    """Noise instead of the picture; the sound stays, and so do both prompts."""
    views = {"blind": questions.with_condition("no_visual", "noise")}
    batch = batch_with_views(questions, views, [3, 0], step=0)
    blind = batch.views["blind"]
    assert blind.prompt_ids.equal(batch.prompt_ids)
    assert blind.audio.equal(batch.audio) and not blind.images.equal(batch.images)


def test_text_looks_alike_in_every_view(questions):
    views = {
        "blind": questions.with_condition("text_only", "noise"),
        "shuffled": questions.with_condition("no_visual", "shuffled"),
    }
    batch = batch_with_views(questions, views, [5], step=0)
    assert batch.views.keys() == views.keys()
    assert all(view.prompt_ids.equal(batch.prompt_ids) for view in batch.views.values())


def test_what_a_view_cannot_show_is_left_out_of_all(questions, tmp_path):
    """Picture 2 has no readable other to stand in once 0 and 1 are gone; it could itself be shown.

    The quarantine says why.
    """
    for number in (0, 1):
        (tmp_path / f"{number}.png").write_bytes(b"not a picture")
    views = {
        "shuffled": questions.with_condition("no_visual", "shuffled"),
        "blind": questions.with_condition("no_visual", "mismatched"),
    }
    batch = batch_with_views(questions, views, [5, 2, 3], step=0)
    for one in (batch, *batch.views.values()):
        assert [sample.id for sample in one.samples] == ["q5", "q3"]
    assert '"no_donor"' in (tmp_path / "quarantine.jsonl").read_text()
    assert batch_with_views(questions, views, [2], step=0) is None


def test_what_cannot_be_shown_at_all_is_left_out_of_views(questions, tmp_path):
    """Without its picture the question could be asked, but there is nothing to compare with."""
    (tmp_path / "1.png").write_bytes(b"not a picture")
    views = {"blind": questions.with_condition("text_only", "absent")}
    batch = batch_with_views(questions, views, [1, 5], step=0)
    assert [sample.id for sample in batch.views["blind"].samples] == ["q5"]


def test_a_view_may_show_fewer_frames_and_no_sound(encoder, tmp_path):
    """Of ten frames the data show eight, which are four steps in time, and the view four."""
    data = six_questions(tmp_path)
    film(tmp_path / "a.mp4", frames=10, sound=1.0)
    row = {"id": "f", "question": "Which?", "options": ["3", "8"], "answer": "8"}
    row["media"] = [{"modality": "video", "path": "a.mp4"}]
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    questions = load_questions(data, "train", encoder, run_dir=tmp_path)
    deaf = MediaAblation(condition="no_audio", how="absent")
    views = {
        "teacher": make_view(questions, ViewSettings(ablation=MediaAblation())),
        "student": make_view(questions, ViewSettings(ablation=deaf, video_max_frames=4)),
    }
    batch = batch_with_views(questions, views, [0], step=0)
    teacher, student = batch.views["teacher"], batch.views["student"]
    assert teacher.prompt_ids.equal(batch.prompt_ids) and batch.changed("teacher") == []
    assert (batch.video_grid[0, 0], student.video_grid[0, 0]) == (4, 2)
    assert batch.media == [("audio", "video")] and student.media == [("video",)]
    assert questions.data.media.video_max_frames == 8
