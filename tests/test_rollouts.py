import pytest
import torch

from datamodules.batch import Completions
from modules.rollouts import Rollout, Sampling, _draw


def sampling(temperature: float = 1.0, top_k: int = 0) -> Sampling:
    return Sampling(group_size=1, max_tokens=1, temperature=temperature, top_k=top_k)


def rollout() -> Rollout:
    """Two completions each of three prompts, of 1 to 4 tokens; row r begins with token 10 r."""
    rows = [[0], [10, 11], [20, 21, 22, 23], [30], [40, 41, 42], [50, 51]]
    completions = Completions.of(rows, [0, 0, 1, 1, 2, 2])
    return Rollout(
        completions=completions,
        logprobs=-completions.token_ids / 100,
        loss_mask=completions.valid,
        texts=[str(row[0]) for row in rows],
        finished=[True, False, True, True, False, False],
    )


def test_draws_invert_the_cumulative_distribution():
    """p = 0.2, 0, 0.5, 0.3: cumulative 0.2, 0.2, 0.7, 1."""
    logits = torch.tensor([[0.2, 0.0, 0.5, 0.3]]).log().expand(5, -1)
    token, logprob = _draw(logits, torch.tensor([0.0, 0.19, 0.21, 0.69, 0.999999]), sampling())
    assert token.tolist() == [0, 0, 2, 2, 3]
    assert logprob.exp().tolist() == pytest.approx([0.2, 0.2, 0.5, 0.5, 0.3])


def test_impossible_tokens_are_never_drawn():
    logits = torch.tensor([[float("-inf"), 1.0, float("-inf"), 0.0, float("-inf")]])
    uniforms = torch.linspace(0, 1 - 2**-53, 1001, dtype=torch.float64)
    token, _ = _draw(logits.expand(1001, -1), uniforms, sampling())
    assert set(token.tolist()) == {1, 3}


def test_temperature_sharpens():
    """Logits ln 3 and 0 at temperature 0.5 are 9 : 1."""
    logits = torch.tensor([[3.0, 1.0]]).log().expand(2, -1)
    token, logprob = _draw(logits, torch.tensor([0.89, 0.91]), sampling(0.5))
    assert token.tolist() == [0, 1]
    assert logprob.exp().tolist() == pytest.approx([0.9, 0.1])


def test_zero_temperature_takes_the_likeliest_whatever_is_drawn():
    token, _ = _draw(torch.tensor([[0.1, 0.3, 0.2]]), torch.tensor([0.999]), sampling(0.0))
    assert token.item() == 1


def test_top_k_draws_among_the_likeliest_only():
    """p = 0.1, 0.4, 0.2, 0.3: the two likeliest, renormalized, are 4/7 and 3/7."""
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log().expand(4, -1)
    uniforms = torch.tensor([0.0, 4 / 7 - 1e-3, 4 / 7 + 1e-3, 0.999999])
    token, _ = _draw(logits, uniforms, sampling(top_k=2))
    assert token.tolist() == [1, 1, 3, 3]


def test_top_k_records_the_logprob_of_the_whole_policy():
    """Not 3/7: the update scores the whole distribution, and their ratio has to begin at 1."""
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log()
    _, logprob = _draw(logits, torch.tensor([0.99]), sampling(top_k=2))
    assert logprob.exp().item() == pytest.approx(0.3)


@pytest.mark.parametrize("top_k", [4, 5, 1000])
def test_top_k_of_the_whole_vocabulary_or_more_changes_no_draw(top_k):
    logits = torch.randn(1, 5, generator=torch.Generator().manual_seed(0))
    logits[0, 2] = float("-inf")
    uniforms = torch.linspace(0, 1 - 1e-6, 101)
    found, _ = _draw(logits.expand(101, -1), uniforms, sampling(top_k=top_k))
    expected, _ = _draw(logits.expand(101, -1), uniforms, sampling())
    assert torch.equal(found, expected)


def test_top_1_is_greedy():
    logits = torch.tensor([[0.1, 0.3, 0.2]]).expand(3, -1)
    token, _ = _draw(logits, torch.tensor([0.0, 0.5, 0.999]), sampling(top_k=1))
    assert token.tolist() == [1, 1, 1]


@pytest.mark.parametrize("top_k", [0, 2])
def test_logits_that_are_not_finite_are_refused(top_k):
    logits = torch.tensor([[0.1, float("nan"), 0.2]])
    with pytest.raises(ValueError, match=r"logits are infinite or NaN.*smaller optim\.lr"):
        _draw(logits, torch.tensor([0.5]), sampling(top_k=top_k))


def test_selecting_takes_whole_groups_and_trims_to_the_longest():
    chosen = rollout().select([2, 0], group_size=2)
    assert chosen.completions.token_ids.tolist() == [
        [40, 41, 42],
        [50, 51, 0],
        [0, 0, 0],
        [10, 11, 0],
    ]
    assert chosen.completions.owner == [0, 0, 1, 1]
    assert chosen.completions.lens == [3, 2, 1, 2]
    assert torch.equal(chosen.logprobs, -chosen.completions.token_ids / 100)
    assert torch.equal(chosen.loss_mask, chosen.completions.valid)
    assert chosen.texts == ["40", "50", "0", "10"]
    assert chosen.finished == [False, False, True, False]


def test_joining_what_was_selected_one_by_one_gives_the_whole():
    whole = rollout()
    again = Rollout.concat([whole.select([prompt], group_size=2) for prompt in range(3)])
    assert torch.equal(again.completions.token_ids, whole.completions.token_ids)
    assert torch.equal(again.logprobs, whole.logprobs)
    assert torch.equal(again.loss_mask, whole.loss_mask)
    assert again.loss_mask.dtype == torch.bool
    assert (again.completions.owner, again.completions.lens) == (
        whole.completions.owner,
        whole.completions.lens,
    )
    assert (again.texts, again.finished) == (whole.texts, whole.finished)


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
