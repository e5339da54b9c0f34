"""What each condition leaves, and what exactly stands in for the rest."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from configs.ablation import Replacement
from datamodules.media.ablation import MediaAblation, MismatchPool, ablate, description_for, extent
from datamodules.media.files import Decoded, MediaError
from datamodules.sample import Media, Modality, Sample
from tests.conftest import make_sample

SOUND = np.full(5, 0.25, dtype=np.float32)
PIXELS = np.full((2, 3, 4, 3), 7, dtype=np.uint8)
HEARD = Decoded(modality="audio", audio=SOUND)
SEEN = Decoded(modality="image", image=PIXELS[0], role="option")
FILM = Decoded(modality="video", frames=PIXELS, fps=2.0, audio=SOUND)
MUTE = Decoded(modality="video", frames=PIXELS, fps=2.0)
ALL = ["Audio", "Image", "Frames Audio", "Frames"]


def under(condition: str, how: str, **fields: float) -> MediaAblation:
    return MediaAblation(condition=condition, how=how, **fields)


def noise(item: Decoded) -> Decoded:
    left = ablate(item, under("text_only", "noise"))
    assert left is not None
    return left


def rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(wave.astype(np.float64) ** 2)))


def wave(seconds: float, scale: float) -> Decoded:
    samples = np.random.default_rng(3).uniform(-scale, scale, round(16_000 * seconds))
    return Decoded(modality="audio", audio=samples.astype(np.float32))


def numbered(frames: int) -> Decoded:
    """A film whose i-th frame is of gray i."""
    grays = np.arange(frames, dtype=np.uint8).reshape(-1, 1, 1, 1)
    pixels = np.broadcast_to(grays, (frames, 2, 3, 3)).copy()
    return Decoded(modality="video", frames=pixels, fps=2.0, audio=SOUND)


def grays(item: Decoded | None) -> list[int]:
    assert item is not None and item.frames is not None
    return item.frames[:, 0, 0, 0].tolist()


def shown(items: list[Decoded], withheld: MediaAblation) -> list[str]:
    """Name what is there, in lower case where it is all zero."""
    names = []
    for item in filter(None, (ablate(item, withheld) for item in items)):
        parts = {"Image": item.image, "Frames": item.frames, "Audio": item.audio}
        there = {name: part for name, part in parts.items() if part is not None}
        names.append(" ".join(n if part.any() else n.lower() for n, part in there.items()))
    return names


@pytest.mark.parametrize(
    ("condition", "how", "left"),
    [
        ("full", "absent", ALL),
        ("full", "silent", ALL),
        ("full", "noise", ALL),
        ("no_text", "absent", ALL),
        ("no_audio", "absent", ["Image", "Frames", "Frames"]),
        ("visual_only", "absent", ["Image", "Frames", "Frames"]),
        ("no_visual", "absent", ["Audio", "Audio"]),
        ("audio_only", "absent", ["Audio", "Audio"]),
        ("text_only", "absent", []),
        ("no_audio", "described", ["Image", "Frames", "Frames"]),
        ("no_visual", "described", ["Audio", "Audio"]),
        ("no_audio", "silent", ["audio", "Image", "Frames audio", "Frames"]),
        ("visual_only", "silent", ["audio", "Image", "Frames audio", "Frames"]),
        ("no_visual", "silent", ["Audio", "image", "frames Audio", "frames"]),
        ("audio_only", "silent", ["Audio", "image", "frames Audio", "frames"]),
        ("text_only", "silent", ["audio", "image", "frames audio", "frames"]),
    ],
)
def test_a_condition_takes_away_what_it_says(condition, how, left):
    assert shown([HEARD, SEEN, FILM, MUTE], under(condition, how)) == left


@pytest.mark.parametrize("how", get_args(Replacement))
def test_what_loses_nothing_is_the_same_object(how):
    assert ablate(SEEN, under("no_audio", how)) is SEEN
    assert ablate(HEARD, under("no_visual", how)) is HEARD
    assert ablate(MUTE, under("no_audio", how)) is MUTE


def test_silence_is_as_long_and_black_as_large_as_what_they_replace():
    film = ablate(FILM, under("text_only", "silent"))
    assert film is not None and film.fps == 2.0
    assert film.audio is not None and film.audio.shape == SOUND.shape
    assert film.frames is not None and film.frames.shape == PIXELS.shape


@pytest.mark.parametrize("item", [HEARD, FILM])
def test_silence_is_just_as_long_as_asked_for(item):
    """30 s at 16 kHz, the silence of AudioMCQ, and not a sample more."""
    left = ablate(item, under("no_audio", "silent", silence_seconds=30.0))
    assert left is not None and left.audio is not None
    assert (left.audio.shape, left.audio.dtype, left.audio.any()) == ((480_000,), np.float32, False)
    assert (left.modality, left.frames is None) == (item.modality, item.frames is None)


def test_silence_that_nobody_hears_is_refused():
    with pytest.raises(ValueError, match=r"silence_seconds is 0\.03, but .* below 0\.1 s: give 30"):
        under("no_audio", "silent", silence_seconds=0.03)


def test_a_film_without_its_pictures_is_a_sound_in_the_same_role():
    sound = ablate(replace(FILM, role="option"), under("no_visual", "absent"))
    assert sound is not None
    assert (sound.modality, sound.role, sound.fps) == ("audio", "option", None)


@pytest.mark.parametrize("scale", [0.001, 0.1, 0.8, 1.0])
def test_noise_is_as_loud_as_the_recording_and_stays_in_range(scale):
    """Uniform in [-s, s] has an RMS of s / sqrt(3); from 0.8 on Gaussian peaks are clipped."""
    item = wave(2.0, scale)
    made = noise(item).audio
    assert made is not None and made.dtype == np.float32 and made.shape == item.audio.shape
    assert rms(item.audio) == pytest.approx(scale / 3**0.5, rel=0.02)
    assert rms(made) == pytest.approx(rms(item.audio), rel=2e-6)
    assert np.abs(made).max() <= 1.0
    assert (np.abs(made).max() == 1.0) == (scale >= 0.8)


def test_noise_is_gaussian_and_has_nothing_of_the_recording():
    """Within one standard deviation lie 68.3 % of the draws, within two 95.4 %."""
    item = wave(2.0, 0.2)
    made = noise(item).audio
    near = np.abs(made) / rms(made)
    assert (near < 1).mean() == pytest.approx(0.683, abs=0.01)
    assert (near < 2).mean() == pytest.approx(0.954, abs=0.01)
    assert abs(np.corrcoef(made, item.audio)[0, 1]) < 0.02


def test_the_noise_of_silence_is_silence_and_of_the_loudest_sound_nearly_as_loud():
    silence = Decoded(modality="audio", audio=np.zeros(800, dtype=np.float32))
    assert not noise(silence).audio.any()
    square = Decoded(modality="audio", audio=np.tile(np.float32([1.7, -1.7]), 400))
    made = noise(square).audio
    assert 0.98 < rms(made) <= 1.0 and np.abs(made).max() == 1.0


def test_noise_gives_every_pixel_value_the_same_chance():
    """60 x 80 x 3 draws of 0..255: mean 127.5 give or take 0.6, each value about 56 times."""
    image = Decoded(modality="image", image=np.full((60, 80, 3), 200, dtype=np.uint8))
    made = noise(image).image
    assert made is not None and made.shape == (60, 80, 3) and made.dtype == np.uint8
    assert made.mean() == pytest.approx(127.5, abs=2.5)
    counts = np.bincount(made.ravel(), minlength=256)
    assert counts.min() > 20 and counts.max() < 110


def test_frames_of_noise_differ_among_themselves_and_only_the_withheld_part_is_noise():
    film = ablate(numbered(4), under("no_visual", "noise"))
    assert film is not None and film.frames is not None and film.audio is SOUND
    assert film.frames.shape == (4, 2, 3, 3) and film.fps == 2.0
    assert len({frame.tobytes() for frame in film.frames}) == 4
    deaf = ablate(numbered(4), under("no_audio", "noise"))
    assert grays(deaf) == [0, 1, 2, 3]
    assert deaf.audio is not None and not np.array_equal(deaf.audio, SOUND)


def test_noise_is_a_function_of_the_content_alone():
    """The same bytes give the same noise, in any role; one bit, or another shape, gives another."""
    item = wave(0.1, 0.3)
    again = Decoded(modality="audio", role="option", audio=item.audio.copy())
    np.testing.assert_array_equal(noise(item).audio, noise(again).audio)
    other = item.audio.copy()
    other[7] = np.nextafter(other[7], 1)
    changed = noise(Decoded(modality="audio", audio=other))
    assert np.abs(changed.audio - noise(item).audio).max() > 0.1
    wide = Decoded(modality="image", image=np.zeros((2, 6, 3), dtype=np.uint8))
    tall = Decoded(modality="image", image=np.zeros((6, 2, 3), dtype=np.uint8))
    assert noise(wide).image.tobytes() != noise(tall).image.tobytes()


@pytest.mark.parametrize("frames", [2, 3, 4, 8, 31])
@pytest.mark.parametrize("salt", range(5))
def test_no_shuffled_frame_stands_where_it_stood_and_none_is_lost(frames, salt):
    film = numbered(frames)
    film.frames[:, 1, 1, 1] = salt
    order = grays(ablate(film, under("no_visual", "shuffled")))
    assert sorted(order) == list(range(frames))
    assert all(gray != place for place, gray in enumerate(order))


def test_shuffling_changes_nothing_but_the_order_of_frames():
    film = numbered(8)
    for condition in ("no_visual", "text_only"):
        left = ablate(film, under(condition, "shuffled"))
        assert left is not None and left.audio is SOUND and left.fps == 2.0
    still = numbered(1)
    assert grays(ablate(still, under("no_visual", "shuffled"))) == [0]
    assert grays(ablate(film, under("no_audio", "shuffled"))) == list(range(8))
    for item in (HEARD, SEEN):
        left = ablate(item, under("text_only", "shuffled"))
        assert left is not None and left.audio is item.audio and left.image is item.image


def test_a_donor_gives_what_is_withheld_and_nothing_else():
    """The donor has six frames, three times the rate, and a longer track."""
    loud = np.full(9, 0.5, dtype=np.float32)
    mismatch = replace(numbered(6), fps=6.0, audio=loud)
    blind = ablate(FILM, under("no_visual", "mismatched"), mismatch=mismatch)
    assert grays(blind) == list(range(6))
    assert (blind.fps, blind.audio is SOUND) == (6.0, True)
    deaf = ablate(FILM, under("no_audio", "mismatched"), mismatch=mismatch)
    assert (deaf.fps, deaf.frames is PIXELS, deaf.audio is loud) == (2.0, True, True)
    both = ablate(FILM, under("text_only", "mismatched"), mismatch=mismatch)
    assert (len(both.frames), both.fps, both.audio is loud) == (6, 6.0, True)
    mute = ablate(MUTE, under("text_only", "mismatched"), mismatch=mismatch)
    assert len(mute.frames) == 6 and mute.audio is None


def test_a_donor_takes_the_role_of_what_it_replaces():
    other = Decoded(modality="image", image=np.ones((5, 5, 3), dtype=np.uint8))
    left = ablate(SEEN, under("no_visual", "mismatched"), mismatch=other)
    assert left is not None and left.role == "option" and left.image is other.image


@pytest.mark.parametrize(
    ("condition", "how", "touched"),
    [
        ("full", "noise", set()),
        ("no_text", "absent", set()),
        ("no_audio", "silent", {"audio", "video"}),
        ("audio_only", "noise", {"image", "video"}),
        ("text_only", "mismatched", {"audio", "image", "video"}),
        ("text_only", "shuffled", {"video"}),
        ("no_audio", "shuffled", set()),
        ("no_audio", "described", {"audio", "video"}),
    ],
)
def test_a_withholding_knows_which_media_it_can_change(condition, how, touched):
    kinds: tuple[Modality, ...] = ("audio", "image", "video")
    assert {kind for kind in kinds if under(condition, how).affects(kind)} == touched


def test_an_option_is_not_half_shown_and_half_told():
    option = Media(modality="video", path="a.mp4", role="option", text="A bark.")
    assert description_for(option, FILM, frozenset({"audio", "visual"})) == "A bark."
    with pytest.raises(
        MediaError, match=r"a\.mp4 is an option that would be partly shown"
    ) as caught:
        description_for(option, FILM, frozenset({"audio"}))
    assert caught.value.kind == "no_description"


def test_an_extent_counts_pixels_frames_and_samples():
    assert extent(HEARD) == {"audio": 5}
    assert extent(SEEN) == {"visual": 12}
    assert extent(FILM) == {"visual": 2, "audio": 5}


def question(asset: str, *media: Media) -> Sample:
    return make_sample(asset, options=(), answer="3", answer_type="number", media=media)


def clip(path: str, **fields: object) -> Media:
    return Media(modality="audio", path=path, **fields)


SHARED = [  # c is shown with two assets, e in two segments, one of them as an option
    question("one", clip("a"), clip("b")),
    question("two", clip("c"), Media(modality="image", path="d")),
    question("one", clip("c"), clip("e", start=1.0, role="option")),
    question("three", clip("e"), clip("f")),
]


@pytest.mark.parametrize(
    ("asset", "paths"),
    [
        ("one", {"f"}),
        ("two", {"a", "b", "e", "f"}),
        ("three", {"a", "b", "c"}),
        ("new", set("abcef")),
    ],
)
def test_candidates_are_of_the_same_kind_and_of_another_asset(asset, paths):
    found = list(MismatchPool(SHARED).candidates(HEARD, asset))
    assert {item.path for item in found} == paths
    assert all(item.modality == "audio" and item.role == "context" for item in found)
    assert len(found) == len(set(found)) == len(paths) + ("e" in paths)


def test_candidates_depend_on_the_content_and_on_nothing_else():
    """Walks over eleven clips: the same for a copy, and many different ones for other content."""
    mismatches = MismatchPool([question(f"q{number}", clip(str(number))) for number in range(11)])

    def walk(level: float) -> tuple[str, ...]:
        item = Decoded(modality="audio", audio=np.full(5, level, dtype=np.float32))
        return tuple(other.path for other in mismatches.candidates(item, "q4"))

    assert walk(0.25) == walk(0.25)
    assert {frozenset(walk(level)) for level in (0.1, 0.2)} == {frozenset("012356789") | {"10"}}
    assert len({walk(level / 20) for level in range(20)}) > 15


def test_media_that_all_belong_to_one_asset_cannot_be_mismatched():
    """c is the only sound of two, but one has others; all pictures belong to two."""
    mismatches = MismatchPool(SHARED)
    mismatches.check(under("no_audio", "mismatched"))
    mismatches.check(under("no_visual", "noise"))
    with pytest.raises(
        ValueError,
        match=r"all 1 image media .* 'two', but replacement=mismatched .* probe\.replacement=noise",
    ):
        mismatches.check(under("no_visual", "mismatched"))
