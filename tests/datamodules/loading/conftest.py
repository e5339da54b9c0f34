"""Ten questions with media of every kind, for tests of loading."""

import json
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
