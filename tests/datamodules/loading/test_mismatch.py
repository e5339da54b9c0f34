"""Media of other assets in place of withheld ones."""

import numpy as np
import pytest

from datamodules.loading.question_set import load_questions
from datamodules.media.files import MediaError


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
