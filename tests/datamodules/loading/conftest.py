"""Questions with media of every kind, for tests of loading."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from configs.schema import DataConfig, MediaConfig
from datamodules.loading.question_set import QuestionSet, load_questions
from tests.datamodules.media.test_files import film

BUDGET = MediaConfig(image_max_pixels=3136, video_max_frames=8, audio_max_seconds=2.0)
SECONDS = {3: 0.5, 4: 0.4, 6: 1.5, 7: 1.1}


KINDS = {".png": "image", ".wav": "audio", ".mp4": "video"}


def noise(file: Path, rng: np.random.Generator, seconds: float = 0.5) -> None:
    """Write a picture or a sound of noise."""
    if file.suffix == ".png":
        Image.fromarray(rng.integers(0, 255, (56, 56, 3), dtype=np.uint8)).save(file)
    else:
        soundfile.write(file, rng.normal(size=round(16_000 * seconds)) * 0.1, 16_000)


def ask(
    root: Path, options: list[str], media: Iterable[list[str]], *, max_bad_share: float
) -> DataConfig:
    """Ask a question about each list of files; 8 is always right."""
    rows = [
        {
            "id": f"q{number}",
            "question": "Which?",
            "options": options,
            "answer": "8",
            "media": [{"modality": KINDS[Path(file).suffix], "path": file} for file in files],
        }
        for number, files in enumerate(media)
    ]
    (root / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataConfig(name="noise", root=str(root), media=BUDGET, max_bad_share=max_bad_share)


def six_questions(root: Path) -> DataConfig:
    """Write six questions: three of a picture, two of a sound, one of neither."""
    rng = np.random.default_rng(0)
    files = ["0.png", "1.png", "2.png", "3.wav", "4.wav"]
    for file in files:
        noise(root / file, rng)
    return ask(root, ["3", "8"], [*([file] for file in files), []], max_bad_share=0.5)


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    """Pictures in 0-2, sounds in 3, 4, 6 and 7, a film with and one without sound in 8 and 9.

    Question 5 has no media, and 7 has those of 0 and 6 besides.
    """
    rng = np.random.default_rng(0)
    pictures = [f"{number}.png" for number in range(3)]
    for file in pictures:
        noise(tmp_path / file, rng)
    for number, seconds in SECONDS.items():
        noise(tmp_path / f"{number}.wav", rng, seconds)
    film(tmp_path / "8.mp4", frames=4, sound=0.4)
    film(tmp_path / "9.mp4", frames=4, sound=0)
    sounds = [["3.wav"], ["4.wav"], [], ["6.wav"], ["7.wav", "0.png", "6.wav"]]
    media = [*([file] for file in pictures), *sounds, ["8.mp4"], ["9.mp4"]]
    return ask(tmp_path, ["3", "8", "5"], media, max_bad_share=0.4)


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
