"""Descriptions in place of media: of the evidence, and of what is withheld."""

import json
from dataclasses import replace

import pytest

from datamodules.loading.option_scoring import option_scoring
from datamodules.loading.question_set import QuestionSet, load_questions
from datamodules.media.files import MediaError
from tests.datamodules.loading.conftest import decodes, text


@pytest.fixture
def told(data, encoder, tmp_path) -> QuestionSet:
    """Every other question has its evidence in words."""
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    for row in rows[::2]:
        row["evidence"] = f"It is {row['id']}."
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return load_questions(
        replace(data, task="answer_from_description"), "train", encoder, run_dir=tmp_path
    )


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
    told.data = replace(told.data, task="describe")
    batch = told.batch([0, 1], step=0, with_targets=True)
    assert [encoder.tokenizer.decode(ids) for ids in batch.targets] == ["It is q0.<|im_end|>"]
    assert (batch.prompt_lens, batch.media) == ([len(batch.prompt_ids)], [("image",)])


def test_evidence_is_missed_only_where_it_is_imitated(told):
    told.data = replace(told.data, task="describe")
    assert len(told.batch([0, 1], step=0)) == 2


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
    with pytest.raises(MediaError, match=r"4\.wav has no text .* in words, but replacement=desc"):
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
