import pytest
import torch

from modules.rollouts import _draw


def test_draws_invert_the_cumulative_distribution():
    """p = 0.2, 0, 0.5, 0.3: cumulative 0.2, 0.2, 0.7, 1."""
    logits = torch.tensor([[0.2, 0.0, 0.5, 0.3]]).log().expand(5, -1)
    token, logprob = _draw(logits, torch.tensor([0.0, 0.19, 0.21, 0.69, 0.999999]), 1.0)
    assert token.tolist() == [0, 0, 2, 2, 3]
    assert logprob.exp().tolist() == pytest.approx([0.2, 0.2, 0.5, 0.5, 0.3])


def test_impossible_tokens_are_never_drawn():
    logits = torch.tensor([[float("-inf"), 1.0, float("-inf"), 0.0, float("-inf")]])
    uniforms = torch.linspace(0, 1 - 2**-53, 1001, dtype=torch.float64)
    token, _ = _draw(logits.expand(1001, -1), uniforms, 1.0)
    assert set(token.tolist()) == {1, 3}


def test_temperature_sharpens():
    """Logits ln 3 and 0 at temperature 0.5 are 9 : 1."""
    logits = torch.tensor([[3.0, 1.0]]).log().expand(2, -1)
    token, logprob = _draw(logits, torch.tensor([0.89, 0.91]), 0.5)
    assert token.tolist() == [0, 1]
    assert logprob.exp().tolist() == pytest.approx([0.9, 0.1])


def test_zero_temperature_takes_the_likeliest_whatever_is_drawn():
    token, _ = _draw(torch.tensor([[0.1, 0.3, 0.2]]), torch.tensor([0.999]), 0.0)
    assert token.item() == 1


def test_draws_are_keyed_by_step_sample_and_rollout(ragged):
    drawn = ragged.uniforms(seed=0, group_size=3, length=5)
    assert len(drawn.unique(dim=0)) == 12
    assert torch.equal(drawn, ragged.uniforms(seed=0, group_size=3, length=5))
    assert not torch.equal(drawn, ragged.uniforms(seed=1, group_size=3, length=5))
    longer_group = ragged.uniforms(seed=0, group_size=4, length=7)
    assert torch.equal(longer_group.view(4, 4, 7)[:, :3, :5].reshape(12, 5), drawn)
    later = ragged.to("cpu")
    later.step = 1
    assert not torch.equal(drawn, later.uniforms(seed=0, group_size=3, length=5))
