"""The sound of a film between its frames: as transformers' processors write it, and number it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers.processing_utils
from torch import Tensor

from datamodules.batch import Completions
from datamodules.media.files import Decoded
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import Prompt, PromptEncoder
from datamodules.prompts.renderers.interleaving import in_chunks, in_time, woven
from modules.policy.omni import OmniModel
from tests.conftest import clip, film, make_prompt, make_sample, picture
from tests.tiny_backbones import SIZE, each_alone, published, tiny

KINDS = ("qwen2_5_omni", "qwen3_omni")
QUESTION = "Which digit is it?\nA. 3\nB. 8\nC. 5\nAnswer with the letter in <answer></answer>."
BY_INDICES = hasattr(transformers.processing_utils, "OmniModalProcessorMixin")
"""Tell whether processors are told by indices which sounds are films'; earlier, by order alone."""

FILMS = [(8, 4.0, 2.0), (2, 1.0, 1.0), (20, 2.0, 9.3), (20, 2.0, 12.7), (6, 0.4, 16.0)]
FILMS += [(14, 3.0, 4.1), (40, 25.0, 1.6), (30, 1.5, 3.003), (8, 4.0, 1.0), (2, 1.0, 0.04)]
"""Frames, how many of them make a second, and seconds of sound: whole chunks of two seconds and
parts of one, as long as the frames, shorter and longer, and frames further apart than chunks. Of
the last two, the sound is written last and ends at smaller numbers than the frames have."""


@dataclass(frozen=True, kw_only=True)
class Speaking:
    kind: str
    path: Path
    encoder: PromptEncoder
    model: Any  # transformers' own class, whose calls are not typed


@pytest.fixture(scope="module", params=KINDS)
def speaking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Speaking:
    kind = str(request.param)
    path = tiny(kind, tmp_path_factory.mktemp(kind))
    encoder = PromptEncoder(str(path), audio_in_video=True)
    return Speaking(kind=kind, path=path, encoder=encoder, model=published(kind, path))


def sounding(frames: int, fps: float, seconds: float, *, seed: int = 0) -> Decoded:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (frames, 56, 56, 3), dtype=np.uint8)
    return Decoded(modality="video", frames=pixels, fps=fps, audio=clip(rng, seconds).audio)


def own_inputs(speaking: Speaking, media: list[Decoded]) -> dict[str, Tensor]:
    """What the processor makes of the same question, films' sounds between their frames."""
    processor = speaking.encoder.processor
    content = [*({"type": medium.modality} for medium in media), {"type": "text", "text": QUESTION}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    films = [medium for medium in media if medium.frames is not None]
    sounds = [medium.audio for medium in media if medium.audio is not None]
    told: dict[str, Any] = {"videos_kwargs": {"use_audio_in_video": True}}
    if BY_INDICES:
        owners = [m for m in media if m.audio is not None]
        indices = [films.index(m) if m.frames is not None else None for m in owners]
        told = {"load_audio_from_video": True, "audio_from_video_indices": indices}
        told["videos_kwargs"] = {}
    told["videos_kwargs"] |= {"do_sample_frames": False, "fps": films[0].fps, "size": SIZE}
    if images := [medium.image for medium in media if medium.image is not None]:
        told["images"] = images
    inputs = processor(
        text=[text],
        videos=[torch.from_numpy(shown.frames).permute(0, 3, 1, 2) for shown in films],
        audio=sounds,
        return_tensors="pt",
        **told,
    )
    if speaking.kind == "qwen3_omni":
        inputs.update(each_alone(processor, sounds))
    return dict(inputs)


def own_positions(speaking: Speaking, inputs: dict[str, Tensor]) -> Tensor:
    """Ask the model where the tokens of a prompt stand. Shapes: -> (3, P)"""
    positions, _ = speaking.model.get_rope_index(
        inputs["input_ids"],
        inputs.get("image_grid_thw"),
        inputs["video_grid_thw"],
        inputs["attention_mask"],
        True,
        inputs["feature_attention_mask"].sum(-1),
        torch.as_tensor(inputs["video_second_per_grid"]),
    )
    return positions[:, 0]


def prompt_of(speaking: Speaking, media: list[Decoded]) -> Prompt:
    return make_prompt(speaking.encoder, make_sample(), media)


def test_pictures_and_sound_are_dealt_out_in_chunks():
    """Chunks of 50 positions; two tokens at each of 0, 30, 60 and 90, and 120 of sound."""
    times = [0, 0, 30, 30, 60, 60, 90, 90]
    assert in_chunks(times, 120, length=50) == [
        ("video", 4),
        ("audio", 50),
        ("video", 4),
        ("audio", 50),
        ("audio", 20),
    ]


def test_what_passes_several_chunks_at_once_closes_them_token_by_token():
    """Three tokens at 0 and three at 160: of these, one closes the chunk that ends at 50, the next
    that at 100, and the last that at 150."""
    assert in_chunks([0, 0, 0, 160, 160, 160], 60, length=50) == [
        ("video", 3),
        ("audio", 50),
        ("video", 1),
        ("audio", 10),
        ("video", 1),
        ("video", 1),
    ]


def test_pictures_and_sound_are_dealt_out_in_time():
    """Two tokens at each of 0, 2.5 and 4: a picture precedes the sound of the same moment."""
    assert in_time([0, 0, 2.5, 2.5, 4, 4], 6) == [
        ("video", 2),
        ("audio", 3),
        ("video", 2),
        ("audio", 1),
        ("video", 2),
        ("audio", 2),
    ]


def test_positions_follow_their_tokens():
    pictures = torch.tensor([[0, 0, 5], [0, 1, 0], [0, 0, 1]])
    dealt = woven([("video", 2), ("audio", 3), ("video", 1)], pictures, 3)
    assert dealt.tolist() == [[0, 0, 0, 1, 2, 5], [0, 1, 0, 1, 2, 0], [0, 0, 0, 1, 2, 1]]


@pytest.mark.parametrize("shape", FILMS)
def test_tokens_and_positions_are_those_of_transformers(speaking, shape):
    shown = sounding(*shape)
    prompt, inputs = prompt_of(speaking, [shown]), own_inputs(speaking, [shown])
    assert prompt.token_ids.tolist() == inputs["input_ids"][0].tolist()
    assert torch.equal(prompt.positions, own_positions(speaking, inputs))


def test_films_stand_beside_pictures_other_films_and_sounds(speaking):
    rng = np.random.default_rng(3)
    media = [picture(rng), sounding(8, 2.0, 3.3, seed=1), clip(rng, 1.2), sounding(6, 2.0, 5.0)]
    prompt, inputs = prompt_of(speaking, media), own_inputs(speaking, media)
    assert prompt.token_ids.tolist() == inputs["input_ids"][0].tolist()
    assert torch.equal(prompt.positions, own_positions(speaking, inputs))


def test_logprobs_are_those_of_transformers_own_forward(speaking):
    """Of two prompts, each with two completions behind it."""
    media = [[sounding(8, 2.0, 3.3)], [sounding(4, 1.0, 5.7, seed=1)]]
    model = OmniModel.load(str(speaking.path), speaking.encoder.tokenizer)
    samples = [make_sample("a"), make_sample("b")]
    batch = collate(samples, [prompt_of(speaking, shown) for shown in media], step=0)
    said = Completions.of([[30, 50, 41], [60], [44, 45], [90, 31, 72, 55]], [0, 0, 1, 1])
    with torch.no_grad():
        found = model.logprobs(batch, said)
        for row, owner in enumerate(said.owner):
            ids = said.token_ids[row, : said.lens[row]]
            inputs = own_inputs(speaking, media[owner])
            for name, more in (("input_ids", ids), ("attention_mask", torch.ones_like(ids))):
                inputs[name] = torch.cat([inputs[name][0], more]).unsqueeze(0)
            logits = speaking.model(**inputs, use_audio_in_video=True).logits[0, -len(ids) - 1 : -1]
            expected = logits.masked_fill(model.suppressed, float("-inf")).log_softmax(-1)
            expected = expected.gather(1, ids.unsqueeze(1)).squeeze(1)
            torch.testing.assert_close(found[row, : len(ids)], expected, rtol=1e-5, atol=1e-5)


def test_the_order_of_frames_and_sound_is_all_that_changes(speaking):
    """The same tokens and towers' inputs; marks and all else as often as before."""
    shown = sounding(8, 2.0, 5.0)
    between = prompt_of(speaking, [shown])
    behind = make_prompt(PromptEncoder(str(speaking.path)), make_sample(), [shown])
    assert sorted(between.token_ids.tolist()) == sorted(behind.token_ids.tolist())
    assert between.token_ids.tolist() != behind.token_ids.tolist()
    for one, other in zip(between.features, behind.features, strict=True):
        assert torch.equal(one.values, other.values)


def test_a_film_of_which_a_part_is_withheld_is_shown_as_ever(speaking):
    shown = film(np.random.default_rng(0))
    silent = Decoded(modality="video", frames=shown.frames, fps=shown.fps)
    heard = Decoded(modality="video", audio=shown.audio)
    plain = PromptEncoder(str(speaking.path))
    for medium in (silent, heard):
        expected = make_prompt(plain, make_sample(), [medium])
        found = prompt_of(speaking, [medium])
        assert torch.equal(found.token_ids, expected.token_ids)
        assert torch.equal(found.positions, expected.positions)


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "qwen2_audio", "qwen3_vl"])
def test_models_that_cannot_are_refused(kind, tmp_path):
    path = str(tiny(kind, tmp_path))
    with pytest.raises(ValueError, match=rf"audio_in_video=true, but .* type {kind}.* Leave the"):
        PromptEncoder(path, audio_in_video=True)
