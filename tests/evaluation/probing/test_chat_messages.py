import base64
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from configs.probing import ServerConfig
from datamodules.media.files import Decoded
from datamodules.sample import Media
from evaluation.probing.chat_messages import ChatRequest, Estimate, check_budget, estimate, messages
from tests.conftest import clip, film, make_sample, picture


def with_media(*items: Decoded) -> Any:
    media = tuple(
        Media(modality=item.modality, path=f"{number}", role=item.role)
        for number, item in enumerate(items)
    )
    return replace(make_sample(), media=media)


def test_a_film_is_its_frames_as_pictures_and_then_its_sound():
    rng = np.random.default_rng(0)
    shown = film(rng)
    chat = messages(with_media(shown), [[shown]], system_prompt="Listen.")
    assert chat[0] == {"role": "system", "content": "Listen."}
    parts = chat[1]["content"]
    assert [part["type"] for part in parts] == ["image_url"] * 8 + ["input_audio", "text"]
    url = parts[2]["image_url"]["url"]
    assert url.startswith("data:image/png;base64,")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
    np.testing.assert_array_equal(pixels, shown.frames[2])
    sound = io.BytesIO(base64.b64decode(parts[8]["input_audio"]["data"]))
    assert soundfile.info(sound).subtype == "PCM_16"
    sound.seek(0)
    wave, rate = soundfile.read(sound, dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(wave, shown.audio, atol=2**-15)
    assert parts[9]["text"].endswith("Answer with the letter in <answer></answer>.")


def test_option_media_stand_where_local_models_see_them():
    rng = np.random.default_rng(0)
    sounds = [replace(clip(rng), role="option") for _ in range(3)]
    items = [picture(rng), *sounds]
    chat = messages(with_media(*items), [[item] for item in items])
    parts = chat[0]["content"]
    kinds = [part["type"] for part in parts]
    assert kinds == ["image_url", *["text", "input_audio"] * 3, "text"]
    lines = [part["text"].splitlines()[-1] for part in parts[1:6:2]]
    assert lines == ["A. 3", "B. 8", "C. 5"]


def test_what_is_withheld_leaves_one_plain_text():
    """Texts around a missing medium are one, and models of text alone take a plain string."""
    sample = with_media(*[replace(clip(np.random.default_rng(0)), role="option")] * 3)
    chat = messages(sample, [[], [], []], suffix="Guess.")
    assert chat == [
        {
            "role": "user",
            "content": "Which digit is it?\nA. 3\nB. 8\nC. 5\nGuess.\n"
            "Answer with the letter in <answer></answer>.",
        }
    ]


def test_words_that_stand_for_media_have_lines_of_their_own():
    """Of a film's sound beside its frames, of a clip, and of media that are options."""
    rng = np.random.default_rng(0)
    frames = replace(film(rng), audio=None)
    sample = with_media(frames, clip(rng))
    parts = messages(sample, [[frames, "A bark."], ["A bell."]])[0]["content"]
    assert parts[-1]["text"].startswith("A bark.\nA bell.\nWhich digit is it?\nA. 3")
    options = with_media(*[replace(clip(rng), role="option")] * 3)
    [turn] = messages(options, [["One."], ["Two."], ["Three."]])
    assert turn["content"] == (
        "Which digit is it?\nA. 3\nOne.\nB. 8\nTwo.\nC. 5\nThree.\n"
        "Answer with the letter in <answer></answer>."
    )


def test_estimate_by_hand():
    """Per answer: 10 characters -> 3; 56 x 84 pixels -> 6; 0.7 s of sound -> 17.5, so 18; sum 27.

    3 answers: 81 prompt tokens, 3 * 40 = 120 completion tokens;
    81 * $2e-6 + 120 * $5e-6 = $0.000762
    """
    rng = np.random.default_rng(0)
    image = Decoded(modality="image", image=np.zeros((56, 84, 3), dtype=np.uint8))
    shown = with_media(image, clip(rng, 0.7))
    parts = messages(shown, [[image], [clip(rng, 0.7)]])[0]["content"]
    parts[-1]["text"] = "ten chars!"
    request = ChatRequest(sample=shown, messages=[{"role": "user", "content": parts}], answers=3)
    prices = {"dollars_per_million_input": 2.0, "dollars_per_million_output": 5.0}
    config = ServerConfig(model="m", budget=0.0007, **prices)
    found = estimate(config, [request], max_tokens=40)
    assert (found.requests, found.prompt_tokens, found.completion_tokens) == (3, 81, 120)
    assert found.dollars == pytest.approx(0.000762)
    with pytest.raises(ValueError, match=r"nothing was sent: raise the budget"):
        check_budget(config, found)
    check_budget(replace(config, budget=0.0008), found)


def test_estimates_add_up_and_read_well():
    one = Estimate(requests=1000, prompt_tokens=2, completion_tokens=3, dollars=4.5)
    assert str(one + one) == (
        "2,000 requests: about 4 prompt tokens, 6 completion tokens at most, about $9.00 at most"
    )


def test_a_budget_without_prices_is_refused():
    with pytest.raises(ValueError, match="without prices"):
        check_budget(ServerConfig(model="m", budget=5.0), Estimate())
