"""What a step would wait for on a GPU, and that it would not mix devices; see tests/fake_gpu.py."""

from copy import deepcopy

import pytest
import torch

from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from tests.fake_gpu import FakeGpu


def deeper(policy: OmniModel) -> OmniModel:
    """Give a model its layers twice."""
    language = policy.backbone.language
    layers = language.layers
    language.config.layer_types = 2 * language.config.layer_types
    language.config.num_hidden_layers *= 2
    for number, layer in enumerate(deepcopy(layers), start=len(layers)):
        layer.self_attn.layer_idx = number
        layers.append(layer)
    return policy


def test_the_host_waits_for_what_it_asks():
    with FakeGpu() as gpu:
        x = torch.arange(6.0, device="cuda")
        y = (x + 1).view(2, 3).clone()
        assert y.is_cuda and y.device == x.device and not gpu.waits
        assert y.sum().item() == 21 and gpu.waits.total() == 1
        assert y[y > 2].tolist() == [3, 4, 5, 6] and gpu.waits.total() == 3
        assert (y > 2).nonzero().shape == (4, 2) and gpu.waits.total() == 4
        assert y.to("cpu").tolist() == [[1, 2, 3], [4, 5, 6]] and gpu.waits.total() == 5


def test_devices_are_not_mixed():
    with FakeGpu() as gpu:
        there = gpu.put(torch.ones(2))
        assert (there * torch.tensor(2.0)).tolist() == [2, 2]  # a number may come from the host
        with pytest.raises(RuntimeError, match="one is on the CPU"):
            _ = there + torch.ones(2)


@pytest.mark.parametrize("attention", ["split", "fused", "dense"])
def test_an_update_waits_as_often_whatever_its_depth(policy, ragged, continuations, attention):
    policy.attention = attention
    found = []
    for model in (deepcopy(policy), deeper(policy)):
        with FakeGpu() as gpu:
            gpu.moved(model)
            batch, completions = ragged.to("cuda"), continuations.to("cuda")
            encoded = model.embed_prompts(batch).detach()
            gpu.waits.clear()
            loss = model.scores(batch, completions, encoded=encoded).logprobs.sum()
            forward = gpu.waits.total()
            loss.backward()
            found.append((forward, gpu.waits.total() - forward))
    (forward, backward), deep = found
    assert (forward, backward) == deep
    assert backward == 0 and forward <= 12


def test_decoding_waits_once_in_sixteen_tokens_whatever_its_depth(policy, ragged):
    def waits(model: OmniModel, tokens: int) -> int:
        with FakeGpu() as gpu:
            gpu.moved(model)
            batch = ragged.to("cuda")
            uniforms = batch.uniforms(seed=3, group_size=4, length=tokens)
            encoded = model.embed_prompts(batch)
            gpu.waits.clear()
            sampling = Sampling(group_size=4, max_tokens=tokens)
            said = model.sample(batch, sampling, uniforms=uniforms, encoded=encoded)
            assert max(said.completions.lens) == tokens
            return gpu.waits.total()

    few = waits(deepcopy(policy), 16)
    assert waits(deepcopy(policy), 64) == few + 3
    assert waits(deeper(policy), 16) == few <= 6
