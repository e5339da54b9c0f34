"""What is Qwen3-VL's own: moments of a film that say their time."""

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.media.files import Decoded
from tests.conftest import film, make_prompt, make_sample
from tests.tiny_backbones import processed, published, tiny

QUESTION = "Which digit is it?\nA. 3\nB. 8\nC. 5\nAnswer with the letter in <answer></answer>."


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("qwen3_vl", tmp_path_factory.mktemp("qwen3_vl"))


def silent(frames: int, fps: float) -> Decoded:
    pixels = np.random.default_rng(0).integers(0, 255, (frames, 56, 56, 3), dtype=np.uint8)
    return Decoded(modality="video", frames=pixels, fps=fps)


def test_each_moment_says_when_its_frames_are_shown_on_average(speaker):
    """Four frames, 0.4 s apart, two to a moment: 0 and 0.4 s, then 0.8 and 1.2 s."""
    prompt = make_prompt(speaker, make_sample(), [silent(4, 2.5)])
    written = speaker.tokenizer.decode(prompt.token_ids).replace("<|video_pad|>" * 4, "####")
    moments = "<0.2 seconds><|vision_start|>####<|vision_end|>"
    moments += "<1.0 seconds><|vision_start|>####<|vision_end|>"
    assert f"<|vision_start|>{moments}<|vision_end|>Which digit" in written


@pytest.mark.parametrize(
    ("frames", "fps"), [(8, 1.0), (30, 10.0), (40, 24.0), (20, 3.0), (10, 0.13), (24, 29.97)]
)
def test_films_of_any_speed_are_written_and_numbered_as_by_transformers(path, speaker, frames, fps):
    shown = silent(frames, fps)
    prompt = make_prompt(speaker, make_sample(), [shown])
    content = [{"type": "video"}, {"type": "text", "text": QUESTION}]
    text = speaker.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    inputs = processed("qwen3_vl", speaker.processor, text, [shown])
    assert prompt.token_ids.tolist() == inputs["input_ids"][0].tolist()
    positions, _ = published("qwen3_vl", path).model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        video_grid_thw=inputs["video_grid_thw"],
    )
    assert torch.equal(prompt.positions, positions[:, 0])


def test_time_passes_by_words_alone(speaker):
    """Frames twice as far apart take as many positions, but for the digits of their times."""
    slow, fast = (make_prompt(speaker, make_sample(), [silent(4, fps)]) for fps in (1.0, 2.0))
    assert len(slow.token_ids) == len(fast.token_ids)
    assert torch.equal(slow.positions, fast.positions)


def test_the_sound_of_a_film_is_left_out(speaker):
    shown = film(np.random.default_rng(0))
    heard = make_prompt(speaker, make_sample(), [shown])
    expected = make_prompt(
        speaker, make_sample(), [Decoded(modality="video", frames=shown.frames, fps=shown.fps)]
    )
    assert torch.equal(heard.token_ids, expected.token_ids)
