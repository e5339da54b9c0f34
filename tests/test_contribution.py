"""Rules over counts: what is weak, what is kept, and what a guesser would do to them."""

import numpy as np
import pytest

from datamodules.contribution import (
    AUDIOMCQ,
    PRESETS,
    VIDGROUND,
    Counts,
    decide,
    guesser_share,
    select,
    why_undefined,
)
from datamodules.sample import Media

AUDIO = Media(modality="audio", path="a.flac")
IMAGE = Media(modality="image", path="a.png")
VIDEO = Media(modality="video", path="a.mp4")


def option(modality):
    return Media(modality=modality, path="o", role="option")


def counts(*pairs):
    """Counts from (n_correct, n) for each sample."""
    n_correct, n = np.array(pairs).T
    return Counts(n=n, n_correct=n_correct)


def test_the_presets_are_found_by_their_names():
    assert PRESETS == {"vidground": VIDGROUND, "audiomcq": AUDIOMCQ}


def test_vidground_calls_weak_what_one_text_only_pass_answers():
    assert (VIDGROUND.condition, VIDGROUND.how) == ("text_only", "absent")
    assert decide(VIDGROUND, counts((1, 1), (0, 1), (0, 0)), [""] * 3) == [
        "weak",
        "strong",
        "missing",
    ]


def test_audiomcq_calls_weak_what_two_of_three_answer_to_silence():
    assert (AUDIOMCQ.condition, AUDIOMCQ.how) == ("no_audio", "silent")
    found = decide(AUDIOMCQ, counts((0, 3), (1, 3), (2, 3), (3, 3), (2, 2)), [""] * 5)
    assert found == ["strong", "strong", "weak", "weak", "missing"]


def test_with_more_votes_the_same_share_is_needed():
    """Two thirds of 6 are 4; two thirds of 4 are more than 2."""
    found = decide(AUDIOMCQ, counts((4, 6), (3, 6), (3, 4), (2, 4)), [""] * 4)
    assert found == ["weak", "strong", "weak", "strong"]


def test_undefined_outweighs_any_score_and_the_lack_of_one():
    found = decide(VIDGROUND, counts((1, 1), (0, 0)), ["withholds options"] * 2)
    assert found == ["undefined", "undefined"]


def test_counts_of_other_samples_are_refused():
    with pytest.raises(ValueError, match=r"counts of 2 samples, and 3 samples.*same order"):
        decide(VIDGROUND, counts((1, 1), (0, 1)), [""] * 3)


def test_no_samples_need_no_decisions():
    nothing = np.zeros(0, dtype=np.int64)
    assert decide(VIDGROUND, Counts(n=nothing, n_correct=nothing), []) == []


@pytest.mark.parametrize(
    ("media", "defined"),
    [
        ([AUDIO], True),
        ([VIDEO], True),
        ([IMAGE], False),
        ([], False),
        ([AUDIO, option("image")], True),
        ([AUDIO, option("audio")], False),
    ],
)
def test_silence_is_a_question_only_to_what_sounds_without_options_that_do(media, defined):
    assert (why_undefined(AUDIOMCQ, media) == "") is defined


def test_the_reason_says_whether_nothing_or_too_much_is_withheld():
    assert why_undefined(AUDIOMCQ, [IMAGE]) == "no_audio withholds nothing from it"
    assert why_undefined(VIDGROUND, [IMAGE, option("image")]) == "text_only withholds options"
    assert why_undefined(VIDGROUND, [IMAGE]) == ""


IDS = ["s0", "s1", "s2", "s3"]
DECISIONS = ["weak", "strong", "undefined", "missing"]
REASONS = ["", "", "text_only withholds options", ""]


@pytest.mark.parametrize(
    ("keep", "on_missing", "kept"),
    [
        ("strong", "drop", ("s1", "s2")),
        ("strong", "keep", ("s1", "s2", "s3")),
        ("weak", "drop", ("s0",)),
        ("weak", "keep", ("s0", "s3")),
        ("all", "error", ("s0", "s1", "s2", "s3")),
    ],
)
def test_each_choice_keeps_its_samples(keep, on_missing, kept):
    found = select(VIDGROUND, IDS, DECISIONS, REASONS, keep=keep, on_missing=on_missing)
    assert found.kept == kept


def test_why_undecided_samples_are_kept_is_recorded():
    found = select(VIDGROUND, IDS, DECISIONS, REASONS, keep="strong", on_missing="keep")
    assert found.reasons == {"s2": "text_only withholds options", "s3": "too few probe answers"}


@pytest.mark.parametrize("keep", ["strong", "weak"])
def test_missing_scores_name_the_command_that_makes_them(keep):
    with pytest.raises(ValueError) as error:
        select(
            AUDIOMCQ,
            ["a", "b", "c"],
            ["weak", "missing", "missing"],
            [""] * 3,
            keep=keep,
            on_missing="error",
        )
    text = str(error.value)
    assert "2 of 3 samples have fewer than 3 probe answers" in text
    assert "first: 'b'" in text
    assert "python eval.py stage=probe 'probe.conditions=[no_audio]' probe.how=silent" in text
    assert "probe.samples=3" in text
    assert "data.contribution.keep=all" in text


@pytest.mark.parametrize(
    ("rule", "n_options", "share"),
    [
        (VIDGROUND, 4, 0.25),
        (VIDGROUND, 2, 0.5),
        (AUDIOMCQ, 4, 10 / 64),  # 3 * 3/64 + 1/64
        (AUDIOMCQ, 2, 0.5),
        (AUDIOMCQ, 10, 0.028),  # 3 * 0.01 * 0.9 + 0.001
    ],
)
def test_a_guesser_makes_this_share_look_weak(rule, n_options, share):
    assert guesser_share(rule, n_options) == pytest.approx(share)


def test_a_guesser_needs_options():
    with pytest.raises(ValueError, match="among 1 options"):
        guesser_share(VIDGROUND, 1)
