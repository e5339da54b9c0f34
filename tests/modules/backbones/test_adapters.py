import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn

from configs.load import load_config
from configs.policy import LoraConfig
from inference.loading import build_encoder, build_policy
from modules.backbones.adapters import adapters_off, merged_weights
from modules.backbones.loading import open_model, parts_of
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from tests.modules.policy.test_omni import gradients

LORA = LoraConfig(rank=3, alpha=7.0, targets=["q_proj", "down_proj"])


@pytest.fixture
def build(untrained, encoder):
    def adapted_policy(lora: LoraConfig = LORA, *, seed: int = 0, **options) -> OmniModel:
        torch.manual_seed(seed)
        return OmniModel.load(str(untrained), encoder.tokenizer, lora=lora, **options)

    return adapted_policy


def moved(model: OmniModel) -> OmniModel:
    """Give the adapters an effect, as training does: B begins at 0."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model


def trained(model: OmniModel) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def bits(model: OmniModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_adapters_begin_without_effect(build, policy, ragged, continuations):
    expected = policy.logprobs(ragged, continuations)
    assert torch.equal(build().logprobs(ragged, continuations), expected)


def test_towers_that_train_have_one_beside_every_linear_layer(build):
    model = build()
    names = trained(model)
    linears = [
        layer
        for tower in (model.backbone.audio_tower, model.backbone.vision_tower)
        for name, layer in tower.named_modules()
        if isinstance(layer, nn.Linear) and "lora_" not in name
    ]
    assert len(linears) > 20
    assert len(names) == 2 * (4 * 2 + len(linears))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_adapter_gets_a_gradient_and_no_weight_does(
    build, ragged, continuations, checkpointing
):
    """Under checkpointing too, though the embeddings that enter the first layer are frozen."""
    model = moved(build(gradient_checkpointing=checkpointing))
    found = gradients(model, model.logprobs(ragged, continuations).sum())
    assert found.keys() == trained(model)
    assert not [name for name, value in found.items() if not value.abs().sum() > 0]


def test_checkpointing_changes_no_gradient_of_adapters(build, ragged, continuations):
    plain, again = (moved(build(gradient_checkpointing=on)) for on in (False, True))
    expected = gradients(plain, plain.logprobs(ragged, continuations).sum())
    found = gradients(again, again.logprobs(ragged, continuations).sum())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)


def test_the_caller_seeds_the_adapters(build):
    first, same, other = (build(seed=seed).state_dict() for seed in (4, 4, 5))
    drawn = [name for name in first if "lora_A" in name]
    assert drawn
    assert all(torch.equal(first[name], same[name]) for name in drawn)
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


def test_a_run_seeds_its_adapters_and_leaves_the_generator_alone(untrained):
    """The same in every process, whatever was drawn before the policy was built."""
    words = ["stage=rlvr", "model.lora.rank=2", f"init_from={untrained}", "seed=3"]
    config = load_config(words, ("rlvr",))
    encoder, states = build_encoder(config), []
    for noise in (1, 2):
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        states.append(build_policy(config, encoder).state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    name = next(name for name in states[0] if "lora_A" in name)
    assert torch.equal(states[0][name], states[1][name])


def test_adapters_are_float32_beside_bfloat16_weights(build, ragged, continuations):
    model = build(dtype=torch.bfloat16)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == (torch.float32 if "lora_" in name else torch.bfloat16)
    found = gradients(model, model.logprobs(ragged, continuations).sum())
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in found.values())


def test_adapters_sample_and_train_in_autocast(build, ragged):
    model = moved(build())
    with torch.autocast("cpu", torch.bfloat16):
        uniforms = ragged.uniforms(seed=0, group_size=2, length=6)
        sampling = Sampling(group_size=2, max_tokens=6)
        rollout = model.sample(ragged, sampling, uniforms=uniforms)
        scores = model.scores(ragged, rollout.completions)
    assert (scores.logprobs - rollout.logprobs)[rollout.loss_mask].abs().max() < 0.05
    found = gradients(model, (scores.logprobs + scores.entropy).sum())
    assert found.keys() == trained(model)
    assert all(value.isfinite().all() for value in found.values())


def test_the_reference_is_the_policy_without_adapters(build, policy, ragged, continuations):
    """Adapters of towers are off as well, so that encoding is that of the start."""
    model = moved(build())
    before, train = bits(model), trained(model)
    found = model.reference().logprobs(ragged, continuations, temperature=0.7)
    assert torch.equal(found, policy.logprobs(ragged, continuations, temperature=0.7))
    assert not torch.equal(found, model.logprobs(ragged, continuations, temperature=0.7))
    assert not found.requires_grad
    assert trained(model) == train
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in bits(model).items())


def test_asking_the_reference_between_forward_and_backward_changes_no_gradient(
    build, ragged, continuations
):
    model = moved(build())
    expected = gradients(model, model.logprobs(ragged, continuations).sum())
    loss = model.logprobs(ragged, continuations).sum()
    model.reference().logprobs(ragged, continuations)
    found = gradients(model, loss)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_adapted_reference_is_no_copy(build):
    model = build()
    assert model.adapted
    assert model.reference().thinker is model.thinker


def test_an_exception_leaves_the_adapters_on(build, ragged, continuations):
    model = moved(build())
    before, train = model.logprobs(ragged, continuations), trained(model)
    with pytest.raises(KeyError), adapters_off(model.thinker):
        assert not torch.equal(model.logprobs(ragged, continuations), before)
        raise KeyError
    assert torch.equal(model.logprobs(ragged, continuations), before)
    assert trained(model) == train


def test_frozen_adapters_stay_frozen(build):
    model = build().requires_grad_(False)
    with adapters_off(model.thinker):
        pass
    assert not trained(model)


def test_merged_weights_load_without_peft_and_say_the_same(
    build, encoder, ragged, continuations, tmp_path
):
    model = moved(build())
    expected = model.logprobs(ragged, continuations)
    before = bits(model)
    model.save(tmp_path)
    assert all(torch.equal(before[name], value) for name, value in bits(model).items())
    merged = OmniModel.load(str(tmp_path), encoder.tokenizer)
    assert not merged.adapted
    found = merged.logprobs(ragged, continuations)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_merging_by_hand(build, untrained):
    """W + alpha / rank * B A, in float32, then rounded once to the precision of W."""
    model = moved(build(dtype=torch.bfloat16, freeze_towers=True))
    layer = model.backbone.language.layers[2].mlp.down_proj
    product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    original = open_model(str(untrained), dtype=torch.bfloat16)
    weight = parts_of(original).language.layers[2].mlp.down_proj.weight
    expected = (weight.float() + 7 / 3 * product).to(torch.bfloat16)
    assert not torch.equal(expected, weight)
    names = {value: name for name, value in model.thinker.named_modules()}
    merged = merged_weights(model.thinker)
    assert torch.equal(merged[f"{names[layer]}.weight"], expected)
    assert merged.keys() == original.state_dict().keys()


def test_saved_adapters_load_into_peft(build, untrained, policy, ragged, continuations, tmp_path):
    model = moved(build())
    model.save_adapter(tmp_path, base="Qwen/some-model")
    assert {file.name for file in tmp_path.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    loaded = PeftModel.from_pretrained(policy.thinker, str(tmp_path))
    assert loaded.peft_config["default"].r == 3
    found = policy.logprobs(ragged, continuations)  # peft put the adapters into its thinker
    assert torch.equal(found, model.logprobs(ragged, continuations))
    assert not any(parameter.requires_grad for parameter in policy.parameters())


def test_there_must_be_adapters_to_save_them(policy, tmp_path):
    with pytest.raises(AssertionError, match="no adapters"):
        policy.save_adapter(tmp_path, base="a/b")
    assert not policy.adapted


def test_targets_that_no_layer_is_called_are_refused_by_name(build):
    lora = LoraConfig(rank=2, targets=["q_proj", "lm_head", "qproj"])
    with pytest.raises(ValueError, match=r"names lm_head, qproj, but .* down_proj, gate_proj"):
        build(lora)
