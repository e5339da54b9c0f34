"""From the rows of a manifest to batches: withheld, turned, quarantined, in any process."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from datamodules.loading.loader import Loader
from datamodules.loading.question_set import SequentialBatches, load_questions
from datamodules.media.files import MediaError
from tests.datamodules.loading.conftest import BUDGET, SECONDS, decodes, text


def test_in_order_asks_each_question_once(questions):
    asked = [
        sample.id
        for batch in SequentialBatches(questions, batch_size=4)
        for sample in batch.samples
    ]
    assert asked == [f"q{number}" for number in range(10)]


def test_in_order_stops_at_its_limit(questions):
    batches = SequentialBatches(questions, batch_size=2, limit=3)
    assert [len(batch) for batch in batches] == [2, 1]


def test_withholding_drops_the_medium_and_its_placeholder(questions):
    full = questions.batch([0, 3], step=0)
    deaf = questions.with_condition("no_audio", "absent").batch([0, 3], step=0)
    assert full.images is not None and full.audio is not None
    assert deaf.images is not None and deaf.audio is None
    assert deaf.prompt_lens[0] == full.prompt_lens[0]
    assert deaf.prompt_lens[1] < full.prompt_lens[1]


@pytest.mark.parametrize("how", ["silent", "noise"])
def test_stand_ins_of_the_same_size_keep_the_placeholders(questions, how):
    full = questions.batch([3], step=0)
    other = questions.with_condition("no_audio", how).batch([3], step=0)
    assert other.prompt_ids.equal(full.prompt_ids)
    assert not other.audio.equal(full.audio)


def test_silence_of_a_given_length_has_its_mel_frames(questions):
    """1.2 s are 120 frames, whatever the recording had."""
    silent = questions.with_condition("text_only", "silent", silence_seconds=1.2)
    assert silent.batch([3, 6], step=0).audio_lens.tolist() == [120, 120]


def test_without_text_the_options_stay(questions):
    assert "Which?\nA. 3" in text(questions.with_condition("text_only", "absent"), 3)
    for condition in ("no_text", "audio_only", "visual_only"):
        said = text(questions.with_condition(condition, "absent"), 3)
        assert "Which?" not in said and "A. 3\nB. 8\nC. 5\nAnswer with" in said


def test_a_suffix_is_said_where_something_is_withheld_only(questions):
    assert "\nGuess.\nAnswer" in text(
        questions.with_condition("text_only", "absent", suffix="Guess."), 3
    )
    assert "Guess." not in text(questions.with_condition("full", "absent", suffix="Guess."), 3)


def test_a_batch_holds_the_questions_in_the_order_they_are_asked(questions):
    """Turned by one, "8" at B comes first."""
    turned = questions.with_condition("full", "absent", option_seed=1)
    assert "A. 8\nB. 5\nC. 3" in text(turned, 0)
    [asked] = turned.batch([0], step=0, with_targets=True).samples
    assert (asked.options, asked.answer) == (("8", "5", "3"), "A")
    assert (asked.id, asked.content_hash) == ("q0", questions.samples[0].content_hash)
    assert questions.samples[0].answer == "B"


def test_orders_and_conditions_share_what_was_read(questions):
    """One picture and one sound; another sound in its place needs no second look at it."""
    for condition, seed in (("full", 0), ("full", 1), ("full", 5), ("no_text", 0)):
        questions.with_condition(condition, "absent", option_seed=seed).batch([0, 3], step=0)
    assert decodes(questions) == 2
    assert questions.reader._features.cache_info().misses == 2
    questions.with_condition("no_audio", "silent", option_seed=2).batch([0, 3], step=0)
    questions.with_media_budget(replace(BUDGET, audio_max_seconds=2.0)).batch([0, 3], step=0)
    assert decodes(questions) == 2


@pytest.mark.parametrize("index", [0, 3, 7, 8])
def test_shown_is_what_the_batch_is_made_of(questions, index):
    """A list per medium, empty where nothing is left."""
    deaf = questions.with_condition("no_audio", "absent")
    sample = deaf.samples[index]
    left = deaf.visible_media(sample)
    assert len(left) == len(sample.media)
    kept = [item.modality for items in left for item in items]
    assert kept == [item.modality for item in sample.media if item.modality != "audio"]
    assert all(item.audio is None for items in left for item in items)


def test_damaged_media_are_quarantined_and_counted(questions, data, tmp_path):
    (tmp_path / "1.png").write_bytes(b"not a picture")
    batch = questions.batch([0, 1, 2], step=0)
    assert [sample.id for sample in batch.samples] == ["q0", "q2"]
    rows = [json.loads(line) for line in (tmp_path / "quarantine.jsonl").read_text().splitlines()]
    assert [(row["id"], row["path"]) for row in rows] == [("q1", "1.png")]


def test_a_deafening_sound_is_quarantined_and_shown_to_nobody(questions, data, tmp_path):
    soundfile.write(tmp_path / "3.wav", np.full(8_000, 1e18), 16_000, subtype="FLOAT")
    batch = questions.batch([3, 4], step=0)
    assert [sample.id for sample in batch.samples] == ["q4"]
    assert questions.quarantine.counts == {"unreadable": 1}
    with pytest.raises(MediaError, match=r"3\.wav: samples of up to 1e\+18 times full scale"):
        questions.visible_media(questions.arrange_options(questions.samples[3]))


def test_features_that_are_no_numbers_set_their_question_aside(questions, monkeypatch, tmp_path):
    made = questions.encoder.renderer.features

    def spoiled(decoded):
        found = made(decoded)
        found[0].values[:] *= float("nan") if len(decoded.audio) == 16_000 * SECONDS[3] else 1
        return found

    monkeypatch.setattr(questions.encoder.renderer, "features", spoiled)
    assert [sample.id for sample in questions.batch([3, 4], step=0).samples] == ["q4"]
    row = json.loads((tmp_path / "quarantine.jsonl").read_text())
    assert (row["id"], row["path"]) == ("q3", "3.wav")


def test_too_many_damaged_media_stop_the_run(questions, tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"not a picture")
    for number in (3, 4):
        (tmp_path / f"{number}.wav").write_bytes(b"not a sound")
    with pytest.raises(ValueError, match=r"data.max_bad_share is 0.4"):
        for number in range(5):
            questions.batch([number, 5], step=number)


def test_loader_processes_read_the_same(questions):
    asked = questions.with_condition("no_visual", "mismatched", option_seed=2, suffix="Guess.")
    batches = SequentialBatches(asked, batch_size=4, limit=8)
    expected = list(batches)
    beside = Loader(iter_shard=batches.iter_shard, workers=2, patience=60)
    for one, other in zip(expected, beside, strict=True):
        assert torch.equal(one.prompt_ids, other.prompt_ids)
        assert one.samples == other.samples


def test_a_set_leaves_its_caches_behind_when_it_is_sent_away(questions):
    questions.batch([0, 3], step=0)
    sent = pickle.loads(pickle.dumps(questions))
    assert (decodes(questions), decodes(sent)) == (2, 0)
    assert sent.batch([0], step=0).prompt_ids.equal(questions.batch([0], step=0).prompt_ids)


def test_another_budget_shows_the_same_questions_otherwise(questions):
    """The film's 4 frames make 2 steps of time, 2 frames make 1; the first set is left as it is."""
    fewer = questions.with_media_budget(replace(BUDGET, video_max_frames=2))
    grids = [asked.batch([9], step=0).video_grid[0, 0].item() for asked in (questions, fewer)]
    assert grids == [2, 1]
    assert fewer.samples is questions.samples
    assert questions.batch([9], step=0).video_grid[0, 0].item() == 2


def test_manifests_are_read_one_after_the_other(questions, data, encoder, tmp_path):
    """Of the second's rows one has an id of the first."""
    rows = [{"id": name, "question": "2?", "answer": 2} for name in ("q3", "r1", "r2")]
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, rows)))
    both = load_questions(data, "train+more", encoder, run_dir=tmp_path)
    assert [sample.id for sample in both.samples[9:]] == ["q9", "r1", "r2"]
    assert [sample.source for sample in both.samples[9:]] == ["train", "more", "more"]
    assert (both.manifest_rows, dict(both.quarantine.counts)) == (13, {"duplicate_id": 1})


def test_budgets_of_prompts_hold_for_each_question(data, encoder, tmp_path):
    """7 and 8 have more than a second of sound in all; the picture of 0 has 3136 pixels."""
    media = replace(BUDGET, prompt_max_pixels=2000, prompt_max_audio_seconds=2.0)
    asked = load_questions(replace(data, media=media), "train", encoder, run_dir=tmp_path)
    assert [s.id for s in asked.batch(range(5, 9), step=0).samples] == ["q5", "q6", "q8"]
    assert '"too_long", "detail": "2.6 s of sound in all' in (
        (tmp_path / "quarantine.jsonl").read_text()
    )
    [[picture]] = asked.visible_media(asked.samples[0])
    assert picture.image.shape == (44, 44, 3)
