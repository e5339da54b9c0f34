"""Shapley shares: small games by hand, parts that are missing, conditions that were not asked."""

from itertools import permutations

import numpy as np
import pytest

from datamodules.contribution.decide import Counts
from datamodules.contribution.shapley import has_part, shares
from datamodules.sample import Media
from tests.conftest import make_sample

SUBSETS = {
    "avt": "full",
    "vt": "no_audio",
    "at": "no_visual",
    "av": "no_text",
    "t": "text_only",
    "a": "audio_only",
    "v": "visual_only",
}


def game(n=20, **right):
    """Counts of one question: right answers of `n` by what is left, such as at=12."""
    return {
        SUBSETS[left]: Counts(n=np.array([n]), n_correct=np.array([k])) for left, k in right.items()
    }


def divide(counts, *, audio=True, visual=True, chance=0.25, **settings):
    return shares(
        counts, np.array([audio]), np.array([visual]), np.array([chance]), 0.95, **settings
    )


def estimates(found):
    return [float(part.estimate[0]) for part in (found.audio, found.visual, found.text)]


def test_where_all_parts_are_needed_each_has_a_third():
    """Right with everything, at chance otherwise: (1 - 0.25) / 3 each; synergy 1 - 2/4 + 1/4."""
    found = divide(game(avt=20, vt=5, at=5, av=5, t=5, a=5, v=5))
    assert estimates(found) == pytest.approx([0.25, 0.25, 0.25])
    assert found.synergy.estimate[0] == pytest.approx(0.75)
    assert found.synergy.low[0] > 0


def test_where_sound_or_pictures_suffice_they_share_what_words_make_possible():
    """Right with the words and either: audio joins the words alone first in 1 of 6 orders, and so
    gains 0.75 / 6; the words, last or second, in 4 of 6."""
    found = divide(game(avt=20, vt=20, at=20, av=5, t=5, a=5, v=5))
    assert estimates(found) == pytest.approx([0.125, 0.125, 0.5])
    assert found.synergy.estimate[0] == pytest.approx(-0.75)
    assert found.synergy.high[0] < 0


def test_pictures_that_change_nothing_have_no_share():
    found = divide(game(avt=18, at=18, vt=8, t=8, av=11, a=11, v=5))
    audio, visual, text = estimates(found)
    assert visual == pytest.approx(0)
    assert audio + text == pytest.approx(0.9 - 0.25)
    assert found.visual.low[0] < 0 < found.visual.high[0]  # not known exactly, though


def test_parts_of_equal_value_have_equal_shares():
    audio, visual, text = estimates(divide(game(avt=19, at=13, vt=13, av=7, t=6, a=4, v=4)))
    assert audio == pytest.approx(visual)
    assert text != pytest.approx(audio)


def test_shares_are_means_over_the_orders_in_which_parts_are_added():
    """Any seven values against the six orders spelled out; they sum to v(all) - chance."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        right = {left: int(rng.integers(0, 21)) for left in SUBSETS}
        value = {frozenset(left): k / 20 for left, k in right.items()} | {frozenset(): 0.25}
        found = estimates(divide(game(**right)))
        expected = [
            np.mean(
                [
                    value[frozenset(order[: order.index(part) + 1])]
                    - value[frozenset(order[: order.index(part)])]
                    for order in permutations("avt")
                ]
            )
            for part in "avt"
        ]
        assert found == pytest.approx(expected)
        assert sum(found) == pytest.approx(right["avt"] / 20 - 0.25)


def test_with_two_players_the_words_are_always_there():
    """v(avt) = 0.9, v(vt) = 0.5, v(at) = 0.7, v(t) = 0.4: audio (0.3 + 0.4) / 2, visual 0.15."""
    counts = game(avt=18, vt=10, at=14, t=8)
    found = divide(counts, players=("audio", "visual"))
    audio, visual, text = estimates(found)
    assert (audio, visual) == pytest.approx((0.35, 0.15))
    assert np.isnan(text) and np.isnan(found.text.low[0])
    assert audio + visual == pytest.approx(0.9 - 0.4)
    assert found.synergy.estimate[0] == pytest.approx(0.9 - 0.5 - 0.7 + 0.4)
    assert np.isnan(estimates(divide(counts))).all()  # three players take more conditions


def test_a_part_that_is_not_there_has_no_share_and_conditions_without_it_are_one():
    """An image: v(vt) = 0.8, v(t) = 0.45, v(v) = 0.3: visual (0.35 + 0.3 - 0.25) / 2 = 0.2."""
    found = divide(game(avt=16, t=9, v=6), audio=False)
    assert estimates(found) == pytest.approx([0, 0.2, 0.35])
    assert (found.audio.low[0], found.audio.high[0]) == (0, 0)
    assert found.synergy.estimate[0] == 0
    same = divide(game(vt=16, at=9, av=6), audio=False)  # what the others come to without sound
    assert estimates(same) == pytest.approx(estimates(found))
    twice = divide(game(avt=16, vt=3, t=9, at=1, v=6), audio=False)  # the fuller one stands
    assert estimates(twice)[1] == pytest.approx((0.8 - 0.05 + 0.3 - 0.25) / 2)


def test_words_alone_have_all_there_is_to_share():
    found = divide(game(avt=13), audio=False, visual=False)
    assert estimates(found) == pytest.approx([0, 0, 0.65 - 0.25])


def test_an_interval_is_as_wide_as_if_a_shared_value_was_asked_once():
    """Without pictures audio's share is 1/2 (v(at) - v(t)) + 1/2 (v(a) - chance), three terms."""
    few = divide(game(avt=16, t=9, a=6), visual=False).audio
    assert few.low[0] < 0.2 < few.high[0]
    many = divide(game(n=2000, avt=1600, t=900, a=600), visual=False).audio
    assert many.estimate[0] == pytest.approx(few.estimate[0]) == pytest.approx(0.2)
    assert many.high[0] - many.low[0] < 0.15 * (few.high[0] - few.low[0])


def test_what_was_not_asked_is_unknown_for_that_question_alone():
    """The second question lacks audio_only, which the words' share takes and synergy does not."""
    n = {left: np.array([20, 0 if left == "a" else 20]) for left in SUBSETS}
    counts = {
        SUBSETS[left]: Counts(n=asked, n_correct=np.minimum(asked, 7)) for left, asked in n.items()
    }
    both = np.array([True, True])
    found = shares(counts, both, both, np.array([0.25, 0.25]), 0.95)
    for part in (found.audio, found.visual, found.text):
        assert np.isnan(part.estimate).tolist() == [False, True]
        assert np.isnan(part.low).tolist() == [False, True]
    assert not np.isnan(found.synergy.estimate).any()


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(4)
    p = {"full": 0.9, "no_audio": 0.5, "no_visual": 0.6, "text_only": 0.4}
    size = 5000
    counts = {
        name: Counts(n=np.full(size, 16), n_correct=rng.binomial(16, rate, size))
        for name, rate in p.items()
    }
    both = np.ones(size, dtype=bool)
    players = ("audio", "visual")
    found = shares(counts, both, both, np.full(size, 0.25), 0.95, players=players)
    for part, truth in ((found.audio, 0.3), (found.visual, 0.2), (found.synergy, 0.2)):
        assert 0.93 < np.mean((part.low <= truth) & (truth <= part.high)) < 0.975


def test_a_video_has_both_parts_and_options_count():
    def sample(*modalities):
        media = tuple(Media(modality=one, path="p", role="option") for one in modalities)
        return make_sample(media=media)

    samples = [
        sample("video"),
        sample("image"),
        sample("audio"),
        sample(),
        sample("image", "audio"),
    ]
    assert has_part(samples, "audio").tolist() == [True, False, True, False, True]
    assert has_part(samples, "visual").tolist() == [True, True, False, False, True]
