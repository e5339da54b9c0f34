"""Players of media in tables: as the model is shown them, bounded, and never the end of a run."""

import logging
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from configs.load import load_config
from datamodules.loading.question_set import QuestionSet
from datamodules.media.files import Decoded
from datamodules.media.players import play
from datamodules.sample import Media
from datamodules.sources.quarantine import Quarantine
from evaluation.players import MOST_PLAYERS, Showcase, caption, showcase, spread, table
from tests.conftest import film, make_sample

PICTURE = Media(modality="image", path="a.png")
SOUND = Media(modality="audio", path="a.wav", start=1.0, end=1.5)
FILM = Media(modality="video", path="a.mp4")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A picture, three seconds of sound that is louder from the first one on, and a film."""
    rng = np.random.default_rng(4)
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    wave = np.full(3 * 16_000, 0.125)
    wave[16_000:] = 0.5
    soundfile.write(tmp_path / "a.wav", wave, 16_000)
    (tmp_path / "a.mp4").write_bytes(play(film(rng)))
    return tmp_path


@pytest.fixture
def questions(root, encoder) -> QuestionSet:
    return QuestionSet(
        [make_sample("q", media=(PICTURE, SOUND, FILM))],
        data=load_config(["stage=probe", "data=manifest", f"data.root={root}"], ("probe",)).data,
        encoder=encoder,
        quarantine=Quarantine(max_bad_share=1.0),
        manifest_rows=1,
    )


def shown_by(questions: QuestionSet, folder: Path, *media: Media, megabytes: float = 1.0):
    found = Showcase(folder, megabytes=megabytes)
    return found, found.players(questions, make_sample("q", media=media))


def test_a_segment_is_heard_and_not_its_file(questions, tmp_path):
    """Half a second from the first on: 8000 samples of 0.5, of a file of 48000."""
    _, players = shown_by(questions, tmp_path / "p", SOUND)
    assert [*players] == ["audio"]
    heard, rate = soundfile.read(players["audio"]._path)
    assert (rate, len(heard)) == (16_000, 8000)
    assert np.abs(heard - 0.5).max() < 1e-4
    assert players["audio"]._caption == "a.wav, 1 s to 1.5 s"


def test_a_film_has_the_frames_and_the_sound_that_the_model_is_shown(questions, tmp_path):
    _, players = shown_by(questions, tmp_path / "p", FILM)
    [[shown]] = questions.visible_media(make_sample("q", media=(FILM,)))
    assert isinstance(shown, Decoded) and shown.frames is not None
    with av.open(players["video"]._path) as file:
        assert len([*file.decode(video=0)]) == len(shown.frames)
        assert len(file.streams.audio) == 1


def test_what_is_withheld_is_not_shown(questions, tmp_path):
    """Without sound: the picture stays, and the film is mute."""
    deaf = questions.with_condition("no_audio", "absent")
    _, players = shown_by(deaf, tmp_path / "p", PICTURE, SOUND, FILM)
    assert [*players] == ["image", "video"]
    with av.open(players["video"]._path) as file:
        assert not file.streams.audio


def test_each_of_a_kind_has_a_column_up_to_a_number(questions, tmp_path):
    media = [
        Media(modality="audio", path="a.wav", end=0.5 + n / 10) for n in range(MOST_PLAYERS + 1)
    ]
    found, players = shown_by(questions, tmp_path / "p", *media)
    assert [*players][:3] == ["audio", "audio 2", "audio 3"] and len(players) == MOST_PLAYERS
    assert found.reason == f"{MOST_PLAYERS} of a question are shown"


def test_bytes_are_bounded_and_the_rows_beyond_have_no_player(questions, tmp_path):
    """A second of sound has 32044 bytes as a WAV, so that 0.07 megabytes hold two."""
    media = [Media(modality="audio", path="a.wav", start=n / 4, end=n / 4 + 1) for n in range(4)]
    found, players = shown_by(questions, tmp_path / "p", *media, megabytes=0.07)
    assert (len(players), found.lacking, found.left) == (2, 2, 70_000 - 2 * 32_044)
    assert found.reason == ("32,044 bytes, but 5,912 are left of wandb.media_megabytes: raise it")
    assert sum(file.stat().st_size for file in (tmp_path / "p").iterdir()) == 2 * 32_044


def test_the_same_medium_costs_once(questions, tmp_path):
    found = Showcase(tmp_path / "p", megabytes=1.0)
    for name in "abc":
        assert [*found.players(questions, make_sample(name, media=(SOUND,)))] == ["audio"]
    assert found.left == 1_000_000 - 16_044


def test_nothing_is_read_where_nothing_is_to_be_shown(questions, tmp_path):
    found, players = shown_by(
        questions, tmp_path / "p", Media(modality="audio", path="gone.wav"), megabytes=0
    )
    assert players == {} and found.lacking == 0 and not (tmp_path / "p").exists()


def test_a_medium_that_is_gone_costs_a_row_its_players(questions, tmp_path, caplog):
    with caplog.at_level(logging.INFO), showcase(tmp_path, megabytes=1.0) as found:
        broken = make_sample("x", media=(SOUND, Media(modality="audio", path="gone.wav")))
        rows = [
            found.players(questions, broken),
            found.players(questions, make_sample(media=(SOUND,))),
        ]
    assert [[*row] for row in rows] == [[], ["audio"]]
    assert caplog.messages == [
        "1 media have no player in Weights & Biases, the first since: " + found.reason
    ]
    assert "gone.wav" in found.reason


def test_a_film_that_cannot_be_encoded_is_shown_as_its_file(questions, root, tmp_path, monkeypatch):
    def unable(_: Decoded) -> bytes:
        raise ValueError("no encoder")

    monkeypatch.setattr("evaluation.players.play", unable)
    found, players = shown_by(questions, tmp_path / "p", FILM, SOUND)
    assert [*players] == ["video"] and players["video"]._path == str(root / "a.mp4")
    assert (found.lacking, found.reason) == (1, "no encoder")
    assert found.left == 1_000_000 - (root / "a.mp4").stat().st_size


def test_nothing_is_left_in_the_directory_of_players(questions, tmp_path):
    left = tmp_path / "wandb/players/left-by-a-kill.wav"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    with showcase(tmp_path, megabytes=1.0) as found:
        assert not left.exists()
        found.players(questions, make_sample(media=(SOUND,)))
        assert len([*found.folder.iterdir()]) == 1
    assert not found.folder.exists()


def test_a_table_has_a_column_for_each_kind_and_none_where_there_is_nothing(questions, tmp_path):
    found = Showcase(tmp_path / "p", megabytes=1.0)
    players = found.players(questions, make_sample(media=(PICTURE, SOUND)))
    laid = table(("id", "said"), [(("a", "x"), players), (("b", "y"), {}), (("c", "z"), players)])
    assert laid.columns == ["id", "said", "audio", "image"]
    assert [[cell is None for cell in row] for row in laid.data] == [
        [False] * 4,
        [False, False, True, True],
        [False] * 4,
    ]


@pytest.mark.parametrize(
    ("start", "end", "named"),
    [
        (None, None, "a.wav"),
        (None, 2.5, "a.wav, 0 s to 2.5 s"),
        (0.5, None, "a.wav, 0.5 s to the end"),
    ],
)
def test_a_caption_names_the_file_and_the_segment(start, end, named):
    assert caption(Media(modality="audio", path="a.wav", start=start, end=end)) == named


@pytest.mark.parametrize(
    ("count", "most", "taken"),
    [(10, 3, [0, 3, 6]), (2, 5, [0, 1]), (7, 7, [*range(7)]), (4, 0, [])],
)
def test_questions_are_spread_evenly(count, most, taken):
    """Of 10 three: 0, 10/3 and 20/3, rounded down."""
    samples = [make_sample(str(n)) for n in range(count)]
    assert [int(sample.id) for sample in spread(samples, most)] == taken
