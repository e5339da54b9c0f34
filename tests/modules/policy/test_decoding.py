from dataclasses import replace

import pytest
import torch
from transformers import DynamicCache

from datamodules.batch import Batch, Completions
from modules.policy import decoding
from modules.policy.decoding import _draw, decode_rows
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from modules.step.nonfinite import NonFiniteError
from modules.step.timer import PhaseTimer


def sampling(temperature: float = 1.0, top_k: int = 0) -> Sampling:
    return Sampling(group_size=1, max_tokens=1, temperature=temperature, top_k=top_k)


def lengthened(batch: Batch, given: Completions) -> Batch:
    """Make a prompt of each row: its own prompt with the row behind it, media again and again."""
    rows = []
    for ids, length, owner in zip(given.token_ids, given.lens, given.owner, strict=True):
        prompt = batch.select([owner])
        after = prompt.positions.max() + 1 + torch.arange(length)
        rows.append(
            replace(
                prompt,
                prompt_ids=torch.cat([prompt.prompt_ids, ids[:length]]),
                prompt_lens=[prompt.prompt_lens[0] + length],
                positions=torch.cat([prompt.positions, after.expand(3, -1)], dim=1),
            )
        )
    return Batch.concat(rows)


@pytest.fixture
def lively(policy: OmniModel) -> OmniModel:
    """The untrained policy, made to prefer some words clearly, now and then the end."""
    with torch.no_grad():
        policy.backbone.head.weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(4))
    return policy


@pytest.mark.parametrize("attention", ["split", "fused", "dense"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_going_on_from_given_words_equals_completing_whole_prompts(
    lively, ragged, continuations, temperature, attention
):
    """Twelve rows of 1 to 9 tokens behind film, pictures, sounds and text."""
    uniforms = torch.rand(12, 9, generator=torch.Generator().manual_seed(1)).double()
    sampling = Sampling(group_size=3, max_tokens=9, temperature=temperature)
    lively.attention = attention
    found = lively.sample(ragged, sampling, uniforms=uniforms, after=continuations)
    whole = lengthened(ragged, continuations)
    expected = lively.sample(whole, replace(sampling, group_size=1), uniforms=uniforms)
    assert torch.equal(found.completions.token_ids, expected.completions.token_ids)
    assert found.completions.lens == expected.completions.lens
    assert found.texts == expected.texts and found.finished == expected.finished
    assert len(set(found.texts)) > 6
    torch.testing.assert_close(found.logprobs, expected.logprobs, rtol=1e-5, atol=1e-5)


def test_what_is_said_after_given_words_belongs_to_their_prompt(policy, ragged, continuations):
    sampling = Sampling(group_size=3, max_tokens=2)
    rollout = policy.sample(ragged, sampling, uniforms=torch.zeros(12, 2), after=continuations)
    assert rollout.completions.owner == continuations.owner
    assert rollout.completions.token_ids.shape[1] <= 2


@pytest.mark.parametrize("rows", [[0, 4, 7, 11], [2, 3, 4, 5, 9]])
def test_prompts_may_have_one_row_each_or_unequally_many(lively, ragged, continuations, rows):
    """One each; and of the first one, of the second three, of the third none, of the last one."""
    owner = [continuations.owner[row] for row in rows]
    given = replace(continuations.select(rows), owner=owner)
    uniforms = torch.zeros(len(rows), 6)
    sampling = Sampling(group_size=1, max_tokens=6, temperature=0.0)
    found = lively.sample(ragged, sampling, uniforms=uniforms, after=given)
    expected = lively.sample(lengthened(ragged, given), sampling, uniforms=uniforms)
    assert torch.equal(found.completions.token_ids, expected.completions.token_ids)
    assert found.completions.owner == owner


def test_a_prompt_is_read_once_for_all_that_stands_behind_it(policy, ragged, continuations):
    """One pass over prompts and rows together, then one over the rows for each word."""
    sizes: list[int] = []
    policy.backbone.language.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["inputs_embeds"].shape[:2].numel()),
        with_kwargs=True,
    )
    timer = PhaseTimer()
    sampling = Sampling(group_size=3, max_tokens=2)
    policy.vocabulary.end_id = -1  # nothing ends early
    policy.sample(ragged, sampling, uniforms=torch.zeros(12, 2), after=continuations, timer=timer)
    assert sizes == [sum(ragged.prompt_lens) + sum(continuations.lens), 12]
    assert list(timer.seconds) == ["towers", "prefill", "decode"]


def test_rows_do_not_see_each_other(lively, ragged, continuations):
    """Another sibling, of another length, changes no word of the row."""
    sampling = Sampling(group_size=3, max_tokens=6, temperature=0.0)
    uniforms = torch.zeros(12, 6)
    before = lively.sample(ragged, sampling, uniforms=uniforms, after=continuations)
    rows = [
        row[:n].tolist() for row, n in zip(continuations.token_ids, continuations.lens, strict=True)
    ]
    rows[4] = [31, 57, 200, 44, 90, 91, 92, 93, 94, 95, 96, 97]
    changed = Completions.of(rows, continuations.owner)
    after = lively.sample(ragged, sampling, uniforms=uniforms, after=changed)
    assert [*before.texts[:4], *before.texts[5:]] == [*after.texts[:4], *after.texts[5:]]


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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("how", [sampling(), sampling(top_k=2), sampling(0.0)])
def test_nothing_is_drawn_where_a_logit_is_no_number(value, how):
    """The draw is a token all the same, as a GPU would stop at any other, and its logprob tells."""
    logits = torch.tensor([[0.1, 0.3, 0.2], [0.1, 0.3, value]])
    token, logprob = _draw(logits, torch.tensor([0.2, 0.2]), how)
    assert 0 <= token[1] < 3 and logprob.isfinite().tolist() == [True, False]
    with pytest.raises(NonFiniteError, match=r"NaN, .* to sample from: .*smaller optim\.lr"):
        decode_rows(
            lambda *_: logits,
            logits,
            DynamicCache(),
            torch.ones(2, 1, dtype=torch.bool),
            torch.zeros(2, dtype=torch.long),
            sampling=how,
            uniforms=torch.full((2, 3), 0.2),
            stop_id=9,
        )


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_rows_that_are_looked_at_seldom_say_the_same(lively, ragged, monkeypatch, temperature):
    """As on a GPU: they are decoded on behind their end, and nothing of it is kept."""
    how = Sampling(group_size=3, max_tokens=24, temperature=temperature)
    uniforms = ragged.uniforms(seed=5, group_size=3, length=24)
    found = []
    for every in (1, 5, 16, 100):
        monkeypatch.setattr(decoding, "look_every", lambda _, n=every: n)
        found.append(lively.sample(ragged, how, uniforms=uniforms))
    assert len({*found[0].completions.lens}) > 1  # some end early
    for other in found[1:]:
        assert torch.equal(other.completions.token_ids, found[0].completions.token_ids)
        assert torch.equal(other.loss_mask, found[0].loss_mask)
        torch.testing.assert_close(other.logprobs, found[0].logprobs, rtol=1e-5, atol=1e-5)


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
