"""What a preview shows is what the batches of a training hold."""

from itertools import islice

import lightning as L
import numpy as np
import pytest

from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder
from datamodules.questions import QuestionData
from tests.conftest import clip, film, make_prompt, make_sample, picture
from tests.datamodules.loading.conftest import six_questions
from tests.tiny_backbones import tiny
from training.preview.reading import (
    Run,
    first_places,
    pixels_of,
    read_questions,
    split_runs,
    spread,
)


def ids(runs) -> list[int]:
    return [id_ for run in runs for id_ in run.ids]


def test_tokens_pictures_and_targets_are_those_of_the_first_batches(encoder, tmp_path):
    """Six questions in batches of two, in the order of the seed."""
    settings = six_questions(tmp_path)
    data = QuestionData(
        settings, encoder, seed=3, batch_size=2, with_targets=True, run_dir=tmp_path
    )
    data.setup()
    data.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    stream = data.stream(rank=0, world=1)
    shown = [*read_questions(stream, first_places(stream), encoder)]
    batches = [batch for [batch] in islice(data.train_dataloader(), 3)]
    assert [one.batch.samples[0] for one in shown] == [s for b in batches for s in b.samples]
    assert [ids(one.prompt) for one in shown] == [
        part.tolist() for batch in batches for part in batch.prompt_ids.split(batch.prompt_lens)
    ]
    assert [ids(one.learned) for one in shown] == [target for b in batches for target in b.targets]
    films = [frames for batch in batches for frames in pixels_of(batch, "image", encoder)]
    assert len(films) == 3
    for one, frames in zip([one for one in shown if one.images], films, strict=True):
        assert np.array_equal(one.images[0], frames)
        assert np.array_equal(one.images[0][0], one.media[0][1].image)  # of 56 pixels as it is


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "qwen3_vl", "qwen3_omni"])
def test_patches_of_every_kind_are_put_together_to_the_pictures_they_were(kind, tmp_path):
    encoder, rng = PromptEncoder(str(tiny(kind, tmp_path))), np.random.default_rng(0)
    seen, moving, other = picture(rng), film(rng), picture(rng)
    prompt = make_prompt(encoder, make_sample(), [seen, moving, other])
    batch = collate([make_sample()], [prompt], step=0)
    images = pixels_of(batch, "image", encoder)
    [frames] = pixels_of(batch, "video", encoder)
    for made, given in zip(images, (seen, other), strict=True):
        assert made.shape[0] == 1
        resized = made.shape[1:] != given.image.shape
        assert resized or np.array_equal(made[0], given.image)
    assert len(frames) == len(moving.frames)


def test_a_model_without_eyes_gets_no_pictures(tmp_path):
    encoder, rng = PromptEncoder(str(tiny("qwen2_audio", tmp_path))), np.random.default_rng(0)
    prompt = make_prompt(encoder, make_sample(), [clip(rng)])
    batch = collate([make_sample()], [prompt], step=0)
    assert pixels_of(batch, "image", encoder) == pixels_of(batch, "video", encoder) == []


def test_special_tokens_stand_apart_and_media_are_counted(encoder):
    placeholder = encoder.placeholders["image"]
    words = encoder.tokenizer.encode("What is it?", add_special_tokens=False)
    one, end = encoder.tokenizer.convert_tokens_to_ids(placeholder), encoder.end_id
    assert split_runs([one, one, one, *words, end], encoder) == [
        Run(kind="media", text=placeholder, ids=[one] * 3),
        Run(kind="text", text="What is it?", ids=words),
        Run(kind="special", text="<|im_end|>", ids=[end]),
    ]
    assert split_runs([], encoder) == []


def test_some_places_are_chosen_evenly_with_both_ends():
    places = np.array([2, 3, 5, 7, 11, 13, 17])
    assert spread(places, 3).tolist() == [2, 7, 17]
    assert spread(places, 0).tolist() == spread(places, 9).tolist() == places.tolist()
