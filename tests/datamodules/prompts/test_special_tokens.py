"""Whatever the weights are, a policy says words and ends its turn: nothing else."""

from pathlib import Path

import pytest
import torch

from datamodules.batch import Batch
from datamodules.prompts.encoder import PromptEncoder
from modules.backbones.loading import open_model
from modules.policy.omni import OmniModel
from modules.policy.sampling import SampledCompletions, Sampling
from modules.policy.vocabulary import Vocabulary

BEYOND = 40
"""Rows that the head has beyond the tokenizer's last word, as published models do."""


@pytest.fixture(scope="module")
def wide(untrained: Path, encoder: PromptEncoder) -> OmniModel:
    thinker = open_model(str(untrained), dtype=torch.float32)
    thinker.resize_token_embeddings(len(encoder.tokenizer) + BEYOND)
    return OmniModel(thinker, Vocabulary(encoder.tokenizer))


def said(model: OmniModel, batch: Batch, *, seed: int, top_k: int) -> SampledCompletions:
    """Sample from random weights, about as likely to say anything as anything else."""
    head = model.backbone.head.weight
    with torch.no_grad():
        head.normal_(generator=torch.Generator().manual_seed(seed))
    sampling = Sampling(group_size=24, max_tokens=24, temperature=20.0, top_k=top_k)
    uniforms = batch.uniforms(seed=seed, group_size=24, length=24)
    return model.sample(batch, sampling, uniforms=uniforms)


@pytest.mark.parametrize("top_k", [0, 600])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_weights_say_no_special_token_but_the_end_of_the_turn(
    wide, ragged, encoder, seed, top_k
):
    rollout = said(wide, ragged, seed=seed, top_k=top_k)
    tokens = rollout.completions.token_ids[rollout.loss_mask].tolist()
    added = encoder.tokenizer.added_tokens_decoder.items()
    special = {number for number, token in added if token.special}
    end = encoder.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert len(special) > 8
    assert len(tokens) > 1000
    assert len(set(tokens)) > 300
    assert set(tokens) & special == {end}
    assert max(tokens) < len(encoder.tokenizer) == len(wide.suppressed) - BEYOND


@pytest.mark.parametrize("top_k", [0, 600])
def test_a_turn_that_ended_says_nothing_more(wide, ragged, top_k):
    rollout = said(wide, ragged, seed=5, top_k=top_k)
    end = wide.vocabulary.end_id
    rows = [
        row[:length]
        for row, length in zip(
            rollout.completions.token_ids.tolist(), rollout.completions.lens, strict=True
        )
    ]
    assert not any(end in row[:-1] for row in rows)
    assert rollout.finished == [row[-1] == end for row in rows]
    assert all(ended or len(row) == 24 for ended, row in zip(rollout.finished, rows, strict=True))


@pytest.mark.parametrize("top_k", [0, 600])
def test_what_was_said_has_finite_logprobs_in_both_passes(wide, ragged, top_k):
    rollout = said(wide, ragged, seed=7, top_k=top_k)
    with torch.no_grad():
        scores = wide.scores(ragged, rollout.completions, temperature=20.0)
    torch.testing.assert_close(scores.logprobs, rollout.logprobs, rtol=0, atol=1e-4)
    assert bool(scores.entropy.isfinite().all())
