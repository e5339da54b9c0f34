from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.batch import Batch
from datamodules.prompts.collate import collate
from modules.backbones.tower_cache import towers_digest
from modules.policy.omni import OmniModel
from tests.conftest import clip, film, make_prompt, make_sample, picture


@pytest.fixture
def cached(untrained, encoder, tmp_path):
    def load(**options) -> OmniModel:
        return OmniModel.load(
            str(untrained),
            encoder.tokenizer,
            freeze_towers=True,
            tower_cache=str(tmp_path / "towers"),
            **options,
        )

    return load


def calls_of(model: OmniModel) -> list[str]:
    """Count the runs of towers from now on."""
    calls: list[str] = []
    for tower in model.backbone.towers:
        tower.register_forward_hook(lambda module, *_: calls.append(type(module).__name__))
    return calls


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "towers").glob("*/*/*.safetensors"))


def test_an_encoding_out_of_the_cache_is_the_one_that_went_in(cached, policy, ragged, tmp_path):
    """Two pictures and one film in common towers, three pictures in all, four sounds."""
    expected = policy.embed_prompts(ragged)
    assert torch.equal(cached().embed_prompts(ragged), expected)
    assert len(entries(tmp_path)) == 3 + 1 + 4
    again = cached()
    calls = calls_of(again)
    assert torch.equal(again.embed_prompts(ragged), expected)
    assert not calls


def test_towers_run_only_over_what_is_lacking(cached, encoder):
    """A second batch shares one of its two pictures, and its sound, with the first."""
    rng = np.random.default_rng(0)
    shared, sound, new = picture(rng), clip(rng), picture(rng)

    def batch(*media) -> Batch:
        return collate([make_sample()], [make_prompt(encoder, make_sample(), [*media])], step=0)

    model = cached()
    model.embed_prompts(batch(shared, sound))
    met: list[int] = []
    model.backbone.vision_tower.register_forward_pre_hook(
        lambda _module, args, kwargs: met.append(len(kwargs["grid_thw"])), with_kwargs=True
    )
    calls = calls_of(model)
    found = model.embed_prompts(batch(new, shared, sound))
    assert met == [1]
    assert len(calls) == 1
    plain = OmniModel(model.thinker, model.vocabulary).embed_prompts(batch(new, shared, sound))
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-5)


def test_other_company_moves_an_encoding_by_rounding_errors_only(cached, encoder):
    rng = np.random.default_rng(1)
    media = [picture(rng), film(rng), clip(rng, 0.7)]
    samples = [make_sample(name) for name in "ab"]
    prompts = [make_prompt(encoder, sample, media) for sample in samples]
    model = cached()
    alone = model.embed_prompts(collate(samples[:1], prompts[:1], step=0))
    plain = OmniModel(model.thinker, model.vocabulary)
    together = plain.embed_prompts(collate(samples, prompts, step=0))
    torch.testing.assert_close(alone, together[: len(alone)], rtol=1e-5, atol=1e-5)


def test_gradients_are_those_without_a_cache(cached, policy, ragged, continuations):
    policy.backbone.freeze_towers()
    policy.logprobs(ragged, continuations).sum().backward()
    for _ in range(2):  # filled, then read
        model = cached()
        model.logprobs(ragged, continuations).sum().backward()
        pairs = zip(policy.named_parameters(), model.named_parameters(), strict=True)
        for (name, one), (_, other) in pairs:
            assert (one.grad is None) == (other.grad is None), name
            assert one.grad is None or torch.equal(one.grad, other.grad), name


def test_a_full_cache_grows_no_further_and_says_so_once(cached, policy, ragged, tmp_path, caplog):
    """Room for some 20 of 8 entries' tokens of 192 numbers each."""
    model = cached(tower_cache_gigabytes=20 * 192 * 4 / 1e9)
    expected = policy.embed_prompts(ragged)
    for _ in range(2):
        assert torch.equal(model.embed_prompts(ragged), expected)
    assert sum(file.stat().st_size for file in entries(tmp_path)) < 20 * 192 * 4 + 8 * 200
    assert 0 < len(entries(tmp_path)) < 8
    assert caplog.text.count("grows no further") == 1


def test_other_precisions_are_other_entries(cached, ragged, tmp_path):
    cached().embed_prompts(ragged)
    with torch.autocast("cpu", torch.bfloat16):
        cached().embed_prompts(ragged)
    assert len(entries(tmp_path)) == 2 * 8


def test_other_weights_are_other_towers(policy):
    towers = policy.backbone.towers
    before = towers_digest(towers)
    assert towers_digest(towers) == before
    with torch.no_grad():
        next(towers[1].parameters()).view(-1)[3] += 1e-3
    assert towers_digest(towers) != before


def test_other_numbers_of_a_configuration_are_other_towers(policy):
    towers = policy.backbone.towers
    before = towers_digest(towers)
    towers[1].config.window_size = 56
    assert towers_digest(towers) != before
