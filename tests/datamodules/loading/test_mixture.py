"""Each kind of questions gets the share of a training that it is meant to have."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from configs.inputs import MixtureConfig
from datamodules.draws import prompts_at
from datamodules.loading.mixture import mixture_weights
from datamodules.sample import Media, Modality, Sample
from tests.conftest import make_sample

KINDS: list[tuple[Modality, ...]] = [
    ("audio",),
    ("audio",),
    ("audio",),
    ("audio", "image"),
    ("image", "audio", "image"),
    (),
    ("video",),
]
"""Three sounds, two of sound and picture, one of text, one film."""

TOKENS = np.array([2, 3, 5, 10, 30, 4, 8])


def samples() -> list[Sample]:
    return [
        replace(
            make_sample(f"q{number}"),
            source=f"s:{number % 2}",
            media=tuple(Media(modality=kind, path=f"{kind}-{number}") for kind in kinds),
        )
        for number, kinds in enumerate(KINDS)
    ]


def mixed(weights=None, tokens=TOKENS, **settings: object) -> np.ndarray | None:
    mixture = MixtureConfig(**settings)
    return mixture_weights(samples(), mixture, output_tokens=tokens, weights=weights)


def test_without_kinds_weights_stay_as_they_are():
    weights = np.arange(7.0)
    assert mixed(by="none") is None
    assert mixed(weights, by="none") is weights


def test_equal_shares_of_questions_by_hand():
    """Four kinds, a quarter of the questions each: of three sounds a twelfth each."""
    expected = np.array([1 / 12] * 3 + [1 / 8] * 2 + [1 / 4] * 2)
    np.testing.assert_allclose(mixed(by="modality"), expected)


def test_named_shares_of_output_tokens_by_hand():
    """Sounds have 2 + 3 + 5 tokens and get 3 parts, sound and picture 10 + 30 and get 1; text is
    named with nothing and film is not named.

    w = 3/4 / 10 = 0.075 of each sound, and 1/4 / 40 = 0.00625 of the others.
    """
    shares = ["audio:3", "audio+image:1", "text:0"]
    found = mixed(by="modality", shares=shares, unit="output_tokens")
    np.testing.assert_allclose(found, [0.075] * 3 + [0.00625] * 2 + [0, 0])


def test_weights_that_are_given_hold_within_kinds():
    """Of the sounds 1 : 0 : 4, of 2 + 20 tokens, which get half; text weighs 7 before, and the
    other half of 4 tokens after."""
    weights = np.array([1.0, 0, 4, 9, 9, 7, 9])
    found = mixed(weights, by="modality", shares=["audio:1", "text:1"], unit="output_tokens")
    np.testing.assert_allclose(found, [0.5 / 22, 0, 2 / 22, 0, 0, 0.5 / 4, 0])


def test_sources_are_kinds_too():
    """Names may hold colons; questions 0, 2, 4 and 6 are of one source, three of the other."""
    found = mixed(by="source", shares=["s:0:1", "s:1:3"])
    np.testing.assert_allclose(found, [1 / 16, 1 / 4, 1 / 16, 1 / 4, 1 / 16, 1 / 4, 1 / 16])


def test_an_epoch_holds_the_tokens_that_were_asked_for():
    """Eight sounds of 1 token, two pictures of 12 and two texts of 3, alike in output tokens.

    Σ_j t_j = 8, 24 and 6, so that w = 1/24, 1/72 and 1/18 and, of the 12 places of an epoch,

        12 * (8/24, 2/72, 2/18) / (17/36) = 8.47, 0.71 and 2.82

    are read, 8.47 tokens of each kind. Every epoch rounds these numbers up or down, so that 400 of
    them stray by some questions from 3,388 tokens; before, pictures had 24 of 38 tokens.
    """
    kinds: list[tuple[Modality, ...]] = [("audio",)] * 8 + [("image",)] * 2 + [()] * 2
    tokens = np.array([1] * 8 + [12] * 2 + [3] * 2)
    questions = [
        replace(make_sample(str(n)), media=tuple(Media(modality=kind, path="a") for kind in media))
        for n, media in enumerate(kinds)
    ]
    mixture = MixtureConfig(by="modality", unit="output_tokens")
    weights = mixture_weights(questions, mixture, output_tokens=tokens, weights=None)
    total = np.zeros(3)
    for epoch in range(400):
        batches = range(3 * epoch, 3 * epoch + 3)
        order = {"seed": 3, "size": 12, "batch_size": 4, "weights": weights}
        read = [place for step in batches for place in prompts_at(step, **order)]
        counts = np.bincount(np.digitize(read, [8, 10]), minlength=3)
        assert (counts >= [8, 0, 2]).all() and (counts <= [9, 1, 3]).all()
        total += np.bincount(np.digitize(read, [8, 10]), weights=tokens[read], minlength=3)
    np.testing.assert_allclose(total, 400 * 144 / 17, rtol=0.05)


def test_the_log_tells_what_an_epoch_holds(caplog):
    """A quarter of the questions each; of weights 1/12, 1/8, 1/4, 1/4 of 10, 40, 4 and 8 tokens:
    0.833, 5, 1 and 2 of 8.833."""
    caplog.set_level(logging.INFO)
    mixed(by="modality")
    assert caplog.messages == [
        "mixture: audio 3 questions, 25.0% and 9.4% of output tokens; "
        "audio+image 2 questions, 25.0% and 56.6% of output tokens; "
        "text 1 questions, 25.0% and 11.3% of output tokens; "
        "video 1 questions, 25.0% and 22.6% of output tokens"
    ]
    mixed(by="source", tokens=None)
    assert caplog.messages[1] == "mixture: s:0 4 questions, 50.0%; s:1 3 questions, 50.0%"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"by": "none", "shares": ["audio:1"]}, r"shares=\['audio:1'\] with by=none.*leave"),
        ({"by": "none", "unit": "output_tokens"}, r"unit=output_tokens with by=none"),
        ({"by": "modality", "shares": ["audoi:1"]}, r"names 'audoi'.*text, video.*mean audio\?"),
        ({"by": "source", "shares": ["audio:1"]}, r"by source are s:0, s:1: name some of these\.$"),
        ({"by": "modality", "shares": ["audio"]}, r"holds 'audio'.*NAME:SHARE.*leave"),
        ({"by": "modality", "shares": ["audio:-1"]}, r"holds 'audio:-1'"),
        ({"by": "modality", "shares": ["audio:inf"]}, r"holds 'audio:inf'"),
        ({"by": "modality", "shares": ["audio:nan"]}, r"holds 'audio:nan'"),
        ({"by": "modality", "shares": [":2"]}, r"holds ':2'"),
        ({"by": "modality", "shares": ["text:1", "text:2"]}, r"names text twice.*leave one"),
        ({"by": "modality", "shares": ["text:0"]}, r"one share at least must be above 0: raise"),
    ],
)
def test_shares_that_mean_nothing_are_refused(settings, told):
    with pytest.raises(ValueError, match=rf"data\.mixture.*{told}"):
        mixed(**settings)


def test_tokens_cannot_be_shared_out_where_nothing_is_imitated():
    with pytest.raises(ValueError, match=r"data\.mixture\.unit is output_tokens.*unit=questions"):
        mixed(by="modality", unit="output_tokens", tokens=None)


def test_a_kind_of_which_nothing_is_read_has_no_share():
    with pytest.raises(ValueError, match=r"shares gives audio a share of 0\.25.*its 3 questions"):
        mixed(np.array([0.0, 0, 0, 1, 1, 1, 1]), by="modality")
