"""What only a GPU can show; `make gpu-check` runs this file and prints what it measured."""

import json
import math
import time

import numpy as np
import pytest
import torch
from transformers import Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration

from configs.load import load_config
from configs.schema import OptimConfig, RlvrConfig
from datamodules.batch import Batch, Completions
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder
from modules.backbones.base import ATTENTION
from modules.backbones.loading import parts_of
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from modules.policy.vocabulary import Vocabulary
from modules.rewards.verifier_reward import VerifierReward
from modules.rlvr import RlvrModule
from modules.step.policy_module import FitSettings
from tests.conftest import clip, film, make_prompt, make_sample, picture
from tests.modules.policy.test_omni import gradients, repeated
from training.run import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]


def flat(found: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([found[name].double().cpu().flatten() for name in sorted(found)])


def on_gpu(continuations: Completions) -> Completions:
    return continuations.to("cuda")


@pytest.mark.parametrize("attention", ["split", "fused", "dense"])
def test_shared_gradients_in_bfloat16_err_no_more_than_repeated_ones(
    untrained, encoder, ragged, continuations, attention
):
    """Both against the float64 gradient of repeated prompts; at most 1.2 times as far."""
    batch, completions = ragged.to("cuda"), on_gpu(continuations)

    def model(dtype: torch.dtype) -> OmniModel:
        loaded = OmniModel.load(str(untrained), encoder.tokenizer, attention=attention)
        return loaded.to("cuda", dtype)

    def error(found: dict[str, torch.Tensor]) -> float:
        return ((flat(found) - truth).norm() / truth.norm()).item()

    exact = model(torch.float64)
    truth = flat(gradients(exact, repeated(exact, batch, completions).sum()))
    plain = model(torch.bfloat16)
    plain_error = error(gradients(plain, repeated(plain, batch, completions).sum()))
    shared = model(torch.bfloat16)
    shared_error = error(gradients(shared, shared.logprobs(batch, completions).sum()))
    print(f"\nbfloat16 gradient error: repeated {plain_error:.2e}, shared {shared_error:.2e}")
    assert shared_error <= 1.2 * plain_error


def test_sampled_logprobs_are_those_of_the_training_pass(untrained, encoder, ragged):
    policy = OmniModel.load(str(untrained), encoder.tokenizer).to("cuda")
    batch = ragged.to("cuda")
    uniforms = batch.uniforms(seed=3, group_size=8, length=16)
    rollout = policy.sample(batch, Sampling(group_size=8, max_tokens=16), uniforms=uniforms)
    again = policy.logprobs(batch, rollout.completions) * rollout.loss_mask
    torch.testing.assert_close(again, rollout.logprobs, rtol=0, atol=1e-3)


def test_a_short_rlvr_run_in_bfloat16(tmp_path):
    """Ten steps of the real command on the embedded data; every metric is finite."""
    words = ["stage=rlvr", "trainer.max_steps=10", "trainer.precision=bf16-mixed"]
    words += ["trainer.accelerator=gpu", "trainer.log_every_n_steps=1", f"run.root={tmp_path}"]
    started = time.perf_counter()
    export = train(load_config(words, ("rlvr",)))
    print(f"\n10 RLVR steps, start-up included: {time.perf_counter() - started:.1f} s")
    rows = (export.parent / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == 10
    assert all(math.isfinite(value) for row in rows for value in json.loads(row).values())


def shape_of_3b(encoder: PromptEncoder) -> OmniModel:
    """Qwen2.5-Omni-3B's thinker with random bfloat16 weights made on the device.

    Its token ids and 64 mel bins are the tiny processor's, everything else is the 3B's.
    """
    token = encoder.tokenizer.convert_tokens_to_ids
    config = Qwen2_5OmniThinkerConfig(
        audio_config={"num_mel_bins": 64, "output_dim": 2048},
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 2048,
        },
        text_config={
            "vocab_size": 151_936,
            "hidden_size": 2048,
            "intermediate_size": 11_008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [16, 24, 24],
            },
        },
        audio_token_id=token("<|AUDIO|>"),
        image_token_id=token("<|IMAGE|>"),
        video_token_id=token("<|VIDEO|>"),
    )
    with torch.device("cuda"):
        torch.manual_seed(0)
        thinker = Qwen2_5OmniThinkerForConditionalGeneration._from_config(
            config, dtype=torch.bfloat16
        )
    parts_of(thinker).language.set_attn_implementation(ATTENTION)
    return OmniModel(thinker.train(), Vocabulary(encoder.tokenizer)).to("cuda")


def long_prompts(encoder: PromptEncoder, count: int) -> Batch:
    """Prompts with twenty seconds of sound, a film and sixteen pictures each."""
    rng = np.random.default_rng(0)
    samples = [make_sample(f"s{number}") for number in range(count)]
    media = [clip(rng, 20.0), film(rng), *(picture(rng) for _ in range(16))]
    prompts = [make_prompt(encoder, sample, media) for sample in samples]
    return collate(samples, prompts, step=0).to("cuda")


def test_one_rlvr_step_at_the_shape_of_qwen25_omni_3b(encoder):
    policy = shape_of_3b(encoder)
    batch = long_prompts(encoder, 2)
    rlvr = RlvrConfig(group_size=8, max_completion_tokens=64)
    module = RlvrModule(
        policy,
        FitSettings(optim=OptimConfig(), max_steps=1),
        rlvr,
        reward_function=VerifierReward(rlvr),
        accumulate=1,
    )
    module.apply_gradients = lambda *_: None  # type: ignore[method-assign]  # gradients are what is timed
    for attempt in ("first", "second"):
        torch.cuda.synchronize()
        started = time.perf_counter()
        module.training_step([batch], 0)
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() / 2**30
        elapsed = time.perf_counter() - started
        laps = {name: f"{seconds:.2f}" for name, seconds in module.timer.seconds.items()}
        print(f"\n{attempt} step: {elapsed:.2f} s {laps}, peak {peak:.1f} GiB")
        module.timer.seconds.clear()
        policy.zero_grad()
    assert math.isfinite(module.step_metrics["train/loss"])
