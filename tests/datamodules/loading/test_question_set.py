"""From the rows of a manifest to batches: withheld, turned, quarantined, in any process."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from configs.schema import DataConfig, MediaConfig
from datamodules.loading.loader import Loader
from datamodules.loading.option_scoring import option_scoring
from datamodules.loading.question_set import QuestionSet, SequentialBatches, load_questions
from datamodules.media.files import MediaError
from tests.datamodules.media.test_files import film

BUDGET = MediaConfig(image_max_pixels=3136, video_max_frames=8, audio_max_seconds=2.0)
SECONDS = {3: 0.5, 4: 0.4, 6: 1.5, 7: 1.1}


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    """Pictures in 0-2, sounds in 3, 4, 6 and 7, a film with and one without sound in 8 and 9.

    Question 5 has no media, and 7 has those of 0 and 6 besides.
    """
    rng = np.random.default_rng(0)
    rows = []
    for number in range(10):
        media = []
        if number < 3:
            pixels = rng.integers(0, 255, (56, 56, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
            media = [{"modality": "image", "path": f"{number}.png"}]
        elif number in SECONDS:
            samples = rng.normal(size=round(16_000 * SECONDS[number])) * 0.1
            soundfile.write(tmp_path / f"{number}.wav", samples, 16_000)
            media = [{"modality": "audio", "path": f"{number}.wav"}]
        elif number > 7:
            film(tmp_path / f"{number}.mp4", frames=4, sound=0.4 if number == 8 else 0)
            media = [{"modality": "video", "path": f"{number}.mp4"}]
        if number == 7:
            media += [
                {"modality": "image", "path": "0.png"},
                {"modality": "audio", "path": "6.wav"},
            ]
        rows.append(
            {
                "id": f"q{number}",
                "question": "Which?",
                "options": ["3", "8", "5"],
                "answer": "8",
                "media": media,
            }
        )
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")
    return DataConfig(name="ten", root=str(tmp_path), media=BUDGET, max_bad_share=0.4)


@pytest.fixture
def questions(data, encoder, tmp_path) -> QuestionSet:
    return load_questions(data, "train", encoder, run_dir=tmp_path)


def text(questions: QuestionSet, index: int) -> str:
    """What the user says in one prompt, placeholders left out."""
    batch = questions.batch([index], step=0)
    assert batch is not None
    return questions.encoder.tokenizer.decode(batch.prompt_ids, skip_special_tokens=True)


def decodes(questions: QuestionSet) -> int:
    return questions.reader.decoded.misses


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


def test_a_donor_is_the_nearest_in_length_of_another_asset(questions):
    """All other sounds are compared: to 0.5 s 0.4 is nearest, and to 1.5 s 1.1.

    Sound 6 belongs to the assets of 6 and of 7, so 7 gets 0.5 s for its own 1.1 s and for that.
    """
    mixed = questions.with_condition("no_audio", "mismatched")
    lengths = {
        index: [
            len(item.audio) / 16_000
            for items in mixed.visible_media(mixed.samples[index])
            for item in items
            if item.audio is not None
        ]
        for index in (3, 4, 6, 7)
    }
    assert lengths == {3: [0.4], 4: [0.5], 6: [1.1], 7: [0.5, 0.5]}
    left = mixed.visible_media(mixed.samples[7])
    assert np.array_equal(left[1][0].image, questions.visible_media(mixed.samples[0])[0][0].image)


def test_donors_are_the_same_for_whoever_asks(questions, data, encoder, tmp_path):
    """Alone or among all, in any order of options, in this process or after another's load."""
    whole = questions.with_condition("text_only", "mismatched").batch([3, 0], step=0)
    assert whole.audio_lens.tolist() == [40]  # sound 4 and not 3, whose 0.5 s would be nearer
    part = questions.with_condition("text_only", "mismatched", option_seed=1)
    part.samples = [questions.samples[3]]
    assert part.batch([0], step=0).audio.equal(whole.audio)
    again = load_questions(data, "train", encoder, run_dir=tmp_path)
    assert (
        again.with_condition("no_visual", "mismatched")
        .batch([0], step=0)
        .images.equal(whole.images)
    )
    assert not questions.batch([0], step=0).images.equal(whole.images)


def test_a_track_without_donor_is_quarantined(questions, tmp_path):
    """Of two films only one has sound: its pictures have a donor, its track has none."""
    assert questions.with_condition("no_visual", "mismatched").batch([8, 9], step=0) is not None
    deaf = questions.with_condition("no_audio", "mismatched")
    with pytest.raises(MediaError, match=r"8\.mp4: no readable video .* has audio, but .*noise"):
        deaf.visible_media(deaf.samples[8])
    assert [s.id for s in deaf.batch([8, 9], step=0).samples] == ["q9"]
    assert '"no_donor"' in (tmp_path / "quarantine.jsonl").read_text()


def test_damaged_media_are_no_donors_and_not_blamed_on_others(questions, tmp_path):
    for number in (0, 1):
        (tmp_path / f"{number}.png").write_bytes(b"not a picture")
    mixed = questions.with_condition("no_visual", "mismatched")
    with pytest.raises(MediaError, match=r"2\.png: no readable image of another asset than '2"):
        mixed.visible_media(mixed.samples[2])


def test_mismatching_without_another_asset_is_refused_at_once(questions, data, encoder, tmp_path):
    rows = (tmp_path / "train.jsonl").read_text().splitlines()
    (tmp_path / "train.jsonl").write_text(rows[0] + "\n")
    [alone] = [load_questions(data, "train", encoder, run_dir=tmp_path)]
    with pytest.raises(ValueError, match=r"all 1 image media .* '0\.png'"):
        alone.with_condition("text_only", "mismatched")
    alone.with_condition("no_audio", "mismatched")


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


@pytest.fixture
def told(data, encoder, tmp_path) -> QuestionSet:
    """Every other question has its evidence in words."""
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    for row in rows[::2]:
        row["evidence"] = f"It is {row['id']}."
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return load_questions(replace(data, ask="told"), "train", encoder, run_dir=tmp_path)


def test_what_is_told_stands_for_media_which_nobody_reads(told, tmp_path):
    (tmp_path / "0.png").write_bytes(b"not a picture")
    batch = told.batch([0], step=0, with_targets=True)
    assert batch.media == [()] and batch.images is None
    assert text(told, 0).endswith("\nEvidence: It is q0.\nassistant\n")
    assert told.encoder.tokenizer.decode(batch.targets[0]) == "<answer>B</answer><|im_end|>"
    assert told.visible_media(told.samples[0]) == []
    assert decodes(told) == 0


def test_questions_of_which_nothing_is_told_are_quarantined(told, tmp_path):
    assert [sample.id for sample in told.batch([0, 1, 2], step=0).samples] == ["q0", "q2"]
    assert '"no_evidence"' in (tmp_path / "quarantine.jsonl").read_text()


def test_options_can_be_scored_by_what_is_told(told):
    """The two orders differ in the options, which stand before what is told: all is read once."""
    scoring = option_scoring(told, [6], orders=2, step=0)
    assert scoring.batch.media == [()]
    assert scoring.completions.owner == [0, 0]


def test_evidence_is_imitated_by_who_has_the_media(told, encoder):
    told.data = replace(told.data, ask="evidence")
    batch = told.batch([0, 1], step=0, with_targets=True)
    assert [encoder.tokenizer.decode(ids) for ids in batch.targets] == ["It is q0.<|im_end|>"]
    assert (batch.prompt_lens, batch.media) == ([len(batch.prompt_ids)], [("image",)])


def test_evidence_is_missed_only_where_it_is_imitated(told):
    told.data = replace(told.data, ask="evidence")
    assert len(told.batch([0, 1], step=0)) == 2


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


@pytest.fixture
def described(data, encoder, tmp_path) -> QuestionSet:
    """The media of sounds and films are said in words, but for sound 4; picture 0 is as well."""
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    for row in rows:
        for number, medium in enumerate(row["media"]):
            if medium["path"] in ("0.png", "3.wav", "6.wav", "7.wav", "8.mp4", "9.mp4"):
                medium["text"] = f"Words {number} of {row['id']}."
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return load_questions(data, "train", encoder, run_dir=tmp_path)


def test_words_stand_where_what_they_describe_is_withheld(described):
    """7 has a sound, a picture and a sound; 8 is a film with sound."""
    deaf = described.with_condition("no_audio", "described")
    assert "\nWords 0 of q7.\nWords 2 of q7.\nWhich?" in text(deaf, 7)
    assert deaf.batch([7], step=0).media == [("image",)]
    assert "\nWords 0 of q8.\nWhich?" in text(deaf, 8)
    assert deaf.batch([8], step=0).media == [("video",)]
    both = described.with_condition("text_only", "described")
    assert "Words 0 of q8." in text(both, 8) and both.batch([8], step=0).media == [()]
    assert "Words" not in text(described, 7) + text(deaf, 0) + text(deaf, 9)


def test_what_is_withheld_and_not_described_is_quarantined(described, tmp_path):
    """The text of film 8 is what is heard in it; film 9 is mute, and its text what is seen."""
    with pytest.raises(MediaError, match=r"4\.wav has no text that says it in words, but how=desc"):
        described.with_condition("text_only", "described").visible_media(described.samples[4])
    blind = described.with_condition("no_visual", "described")
    with pytest.raises(MediaError, match=r"8\.mp4 has a text, but of a film with sound"):
        blind.visible_media(described.samples[8])
    assert "Words 0 of q9." in text(blind, 9)
    assert blind.batch([1], step=0) is None
    assert '"no_description"' in (tmp_path / "quarantine.jsonl").read_text()


def test_options_can_be_scored_by_descriptions(described):
    scoring = option_scoring(
        described.with_condition("no_audio", "described"), [7, 8], orders=2, step=0
    )
    assert scoring.batch.media == [("image",), ("video",)]
    assert scoring.completions.owner == [0, 0, 1, 1]


def test_all_conditions_and_views_of_a_step_share_one_decode(described):
    """Eight media, two of them shown by q7 too, which has one of its own."""
    for condition, how in (("full", "absent"), ("no_audio", "noise"), ("text_only", "silent")):
        described.with_condition(condition, how).batch(range(10), step=0)
    described.with_condition("no_audio", "described", option_seed=1).batch([3, 6, 7, 8], step=0)
    assert decodes(described) == 9


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
