import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import pad

from bench.option_scoring import plain_option_scores
from datamodules.batch import Batch, Completions
from datamodules.prompts.encoder import PromptEncoder
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from modules.step.timer import PhaseTimer

Gradients = dict[str, Tensor]


def load(path: Path, encoder: PromptEncoder, **options: bool) -> OmniModel:
    return OmniModel.load(str(path), encoder.tokenizer, **options)


def gradients(model: OmniModel, loss: Tensor) -> Gradients:
    model.zero_grad()
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def distance(found: Gradients, expected: Gradients) -> float:
    """Length of the difference of two whole gradients, relative to the second."""
    assert found.keys() == expected.keys()
    apart = torch.stack([(found[name] - expected[name]).norm() for name in expected]).norm()
    return (apart / torch.stack([value.norm() for value in expected.values()]).norm()).item()


def one_prompt(batch: Batch, number: int, encoded: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings (P, D_in) and positions (3, P) of one prompt of a packed batch."""
    start = sum(batch.prompt_lens[:number])
    part = slice(start, start + batch.prompt_lens[number])
    return encoded[part], batch.positions[:, part]


def repeated(model: OmniModel, batch: Batch, completions: Completions) -> Tensor:
    """Score each completion behind a copy of its own prompt, with a plain causal mask.

    Shapes: -> (N, T)
    """
    out = torch.zeros(completions.token_ids.shape, dtype=model.thinker.dtype)
    encoded = model.embed_prompts(batch)
    for row, (length, owner) in enumerate(zip(completions.lens, completions.owner, strict=True)):
        prompt, positions = one_prompt(batch, owner, encoded)
        ids = completions.token_ids[row, :length]
        words = model.backbone.embedding(ids)
        words = pad(words, (0, prompt.shape[1] - words.shape[1]))  # (T, D_in)
        embedded = torch.cat([prompt, words]).unsqueeze(0)
        after = positions.max() + 1 + torch.arange(length)
        positions = torch.cat([positions, after.expand(3, -1)], dim=1).unsqueeze(1)
        width = embedded.shape[1]
        causal = torch.ones(1, 1, width, width, dtype=torch.bool).tril()
        hidden = model.backbone.forward(embedded, positions, attention_mask=causal)[0]
        logits = model.backbone.head(hidden[-length - 1 : -1]).to(out.dtype)
        logits = logits.masked_fill(model.suppressed, float("-inf"))
        scored = logits.log_softmax(-1).gather(1, ids.unsqueeze(1)).squeeze(1)
        out = out.index_put((torch.full((length,), row), torch.arange(length)), scored)
    return out


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("attention", ["split", "fused", "dense"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 1e-5)])
def test_shared_prompts_have_the_gradients_of_repeated_ones(
    untrained, encoder, ragged, continuations, dtype, tolerance, attention, checkpointing
):
    """Film, pictures and sounds; prompts and completions of different lengths."""
    weight = torch.linspace(-1, 2, continuations.token_ids.numel(), dtype=dtype)
    weight = weight.view_as(continuations.token_ids)
    plain = load(untrained, encoder).to(dtype)
    expected = gradients(plain, (repeated(plain, ragged, continuations) * weight).sum())
    shared = load(untrained, encoder, attention=attention, gradient_checkpointing=checkpointing).to(
        dtype
    )
    found = gradients(shared, (shared.logprobs(ragged, continuations) * weight).sum())
    assert len(found) > 100
    assert distance(found, expected) < tolerance


def test_reusing_the_encoding_changes_nothing(policy, ragged, continuations):
    encoded = policy.embed_prompts(ragged)
    reused = policy.logprobs(ragged, continuations, encoded=encoded)
    assert torch.equal(reused, policy.logprobs(ragged, continuations))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_scores_are_logprobs_and_the_entropy_of_the_same_distribution(
    policy, ragged, continuations, temperature
):
    scores = policy.scores(ragged, continuations, temperature=temperature)
    logprobs = policy.logprobs(ragged, continuations, temperature=temperature)
    assert torch.equal(scores.logprobs, logprobs)
    assert not scores.entropy[~continuations.valid].any()
    encoded = policy.embed_prompts(ragged)
    prompt, positions = one_prompt(ragged, 1, encoded)
    hidden = policy.backbone.forward(prompt.unsqueeze(0), positions.unsqueeze(1))[0, -1]
    first = torch.distributions.Categorical(
        logits=policy.backbone.head(hidden)[~policy.suppressed] / temperature
    )
    torch.testing.assert_close(scores.entropy[3, 0], first.entropy(), rtol=1e-4, atol=1e-4)


def test_media_once_seen_need_no_towers(policy, ragged):
    """As between sampling and the updates of frozen towers, while the embeddings move on."""
    seen = policy.embed_prompts(ragged)
    with torch.no_grad():
        policy.backbone.embedding.weight.mul_(1.5)
    expected = policy.embed_prompts(ragged)
    assert not torch.equal(seen, expected)
    calls = []
    for tower in (policy.backbone.audio_tower, policy.backbone.vision_tower):
        tower.register_forward_hook(lambda *_: calls.append(1))
    assert torch.equal(policy.embed_prompts(ragged, cached_encoding=seen), expected)
    assert not calls


def test_with_frozen_towers_seen_media_change_no_gradient(
    untrained, encoder, ragged, continuations
):
    model = load(untrained, encoder, freeze_towers=True)
    expected = gradients(model, model.logprobs(ragged, continuations).sum())
    again = model.embed_prompts(ragged, cached_encoding=model.embed_prompts(ragged))
    found = gradients(model, model.logprobs(ragged, continuations, encoded=again).sum())
    assert found
    assert distance(found, expected) == 0


@pytest.mark.parametrize(
    ("encoded", "phases"),
    [(False, ["towers", "prefill", "decode"]), (True, ["prefill", "decode"])],
)
def test_sampling_tells_where_its_time_went(policy, ragged, encoded, phases):
    timer = PhaseTimer()
    policy.sample(
        ragged,
        Sampling(group_size=2, max_tokens=3),
        uniforms=ragged.uniforms(seed=0, group_size=2, length=3),
        encoded=policy.embed_prompts(ragged) if encoded else None,
        timer=timer,
    )
    assert list(timer.seconds) == phases
    assert min(timer.seconds.values()) > 0


def test_sampled_logprobs_are_those_of_the_training_pass(policy, ragged):
    uniforms = ragged.uniforms(seed=3, group_size=3, length=10)
    sampling = Sampling(group_size=3, max_tokens=10, temperature=0.8)
    rollout = policy.sample(ragged, sampling, uniforms=uniforms)
    again = policy.logprobs(ragged, rollout.completions, temperature=0.8)
    torch.testing.assert_close(again * rollout.loss_mask, rollout.logprobs, rtol=0, atol=2e-5)


def test_a_completion_does_not_depend_on_its_batch(policy, ragged):
    """The second sample of the batch says the same when it is asked alone."""
    sampling = Sampling(group_size=2, max_tokens=8)
    uniforms = ragged.uniforms(seed=0, group_size=2, length=8)
    together = policy.sample(ragged, sampling, uniforms=uniforms)
    alone = ragged.select([1])
    lonely = policy.sample(alone, sampling, uniforms=uniforms[2:4])
    assert lonely.texts == together.texts[2:4]


def test_random_policies_never_say_media_tokens(policy, ragged, encoder):
    sampling = Sampling(group_size=8, max_tokens=32, temperature=5.0)
    uniforms = ragged.uniforms(seed=1, group_size=8, length=32)
    rollout = policy.sample(ragged, sampling, uniforms=uniforms)
    said = set(rollout.completions.token_ids[rollout.loss_mask].tolist())
    assert len(said) > 200
    media = ["<|AUDIO|>", "<|IMAGE|>", "<|VIDEO|>", "<|audio_bos|>", "<|vision_eos|>"]
    assert not said & set(encoder.tokenizer.convert_tokens_to_ids([*media, "<|im_start|>"]))


def test_only_the_end_of_the_turn_may_be_said_of_the_special_tokens(policy, encoder):
    allowed = encoder.tokenizer.convert_ids_to_tokens(
        (~policy.suppressed).nonzero().flatten().tolist()
    )
    assert [token for token in allowed if token.startswith("<|")] == ["<|im_end|>"]
    assert "<answer>" in allowed


def test_bfloat16_autocast_trains_everything_and_stays_on_policy(policy, ragged):
    """As `trainer.precision=bf16-mixed` runs it: rollout without gradients first, then the pass."""
    with torch.autocast("cpu", torch.bfloat16):
        encoded = policy.embed_prompts(ragged)
        uniforms = ragged.uniforms(seed=0, group_size=2, length=6)
        sampling = Sampling(group_size=2, max_tokens=6)
        rollout = policy.sample(ragged, sampling, uniforms=uniforms, encoded=encoded)
        logprobs = policy.logprobs(ragged, rollout.completions, encoded=encoded)
    assert (logprobs - rollout.logprobs)[rollout.loss_mask].abs().max() < 0.05
    found = gradients(policy, logprobs.sum())
    assert len(found) > 100
    assert all(torch.isfinite(value).all() for value in found.values())


def test_bfloat16_logprobs_err_no_more_than_those_of_repeated_prompts(
    policy, ragged, continuations
):
    """Against float64, the root mean square error is at most 1.2 times that of the plain path."""
    exact = copy.deepcopy(policy).double()
    valid = continuations.valid
    with torch.no_grad():
        truth = exact.logprobs(ragged, continuations)[valid]
        with torch.autocast("cpu", torch.bfloat16):
            shared = policy.logprobs(ragged, continuations)[valid]
            plain = repeated(policy, ragged, continuations)[valid]
    errors = [(found.double() - truth).square().mean().sqrt() for found in (shared, plain)]
    assert errors[0] <= 1.2 * errors[1]


def test_option_scores_are_summed_logprobs(policy, ragged, encoder):
    """Three options each for two prompts and two for the others; absent options score -inf."""
    options = [encoder.option_targets(sample) for sample in ragged.samples]
    options[1], options[3] = options[1][:2], options[3][:2]
    scores = plain_option_scores(policy, ragged, options)
    assert scores.shape == (4, 3)
    assert scores[1, 2] == scores[3, 2] == float("-inf")
    alone = Completions.of([options[2][1]], [2])
    alone_score = policy.logprobs(ragged, alone).sum()
    torch.testing.assert_close(scores[2, 1], alone_score, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["audio", "images", "videos"])
def test_other_media_give_other_logprobs(policy, ragged, continuations, kind):
    """A blind model would not notice."""
    changed = ragged.to("cpu")
    setattr(changed, kind, getattr(ragged, kind).flip(-1))
    before = policy.logprobs(ragged, continuations)
    after = policy.logprobs(changed, continuations)
    moved = (before - after).abs().amax(1).view(4, 3).amax(1) > 1e-6
    shown = {"audio": [True, True, False, False], "images": [True, False, True, False]}
    assert moved.tolist() == shown.get(kind, [True, False, False, False])


def test_features_without_placeholders_are_refused(policy, ragged):
    broken = ragged.to("cpu")
    broken.audio_lens = ragged.audio_lens[:-1]
    broken.audio = ragged.audio[:, : int(broken.audio_lens.sum())]
    with pytest.raises(ValueError, match=r"audio features meet \d+ audio placeholders"):
        policy.embed_prompts(broken)


def test_a_reference_stays_behind(policy, ragged, continuations):
    reference = policy.reference()
    before = reference.logprobs(ragged, continuations)
    with torch.no_grad():
        policy.backbone.head.weight.mul_(1.5)
    assert torch.equal(reference.logprobs(ragged, continuations), before)
    assert not torch.equal(policy.logprobs(ragged, continuations), before)
    assert not any(p.requires_grad for p in reference.parameters())


@pytest.mark.parametrize("harm", ["missing", "unexpected", "mismatched"])
def test_checkpoints_with_other_tensors_are_refused_by_name(policy, encoder, tmp_path, harm):
    policy.save(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    name = sorted(tensors)[0]
    if harm == "missing":
        del tensors[name]
    elif harm == "unexpected":
        name = "thinker.nobody.weight"
        tensors[name] = torch.zeros(2)
    else:
        tensors[name] = torch.zeros(3)
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"1 {harm} tensors"):
        load(tmp_path, encoder)
