from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GemmaConfig,
    LlamaConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from bench.option_scoring import plain_option_scores
from configs.policy import LoraConfig
from datamodules.batch import Batch, Completions
from datamodules.prompts.encoder import PromptEncoder
from modules.kernels.divergence import plain_divergence
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from tests.conftest import make_sample

SHAPE = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
FAMILIES = {"qwen2": Qwen2Config, "qwen3": Qwen3Config, "llama": LlamaConfig}


def make(path: Path, encoder: PromptEncoder, kind: type, *, beyond: int = 0, **more) -> Path:
    """Write a random model whose vocabulary is that of the tiny thinker, padded by some rows."""
    torch.manual_seed(0)
    config = kind(**SHAPE, vocab_size=len(encoder.tokenizer) + beyond, **more)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3.0)  # 0.02 is too small for an order of tokens to show
    model.save_pretrained(path)
    return path


@pytest.fixture(params=[*FAMILIES])
def path(request, tmp_path, encoder) -> Path:
    """Directories of three families; one of them has its head tied to its embedding."""
    tied = {"tie_word_embeddings": True} if request.param == "qwen2" else {}
    return make(tmp_path, encoder, FAMILIES[request.param], **tied)


@pytest.fixture(scope="module")
def written(encoder) -> Batch:
    """Three prompts of text, of different lengths."""
    lens = [9, 14, 5]
    ids = torch.randint(20, 300, (28,), generator=torch.Generator().manual_seed(2))
    places = torch.cat([torch.arange(length) for length in lens])
    return Batch(
        samples=[make_sample(f"t{number}") for number in range(3)],
        step=0,
        prompt_ids=ids,
        prompt_lens=lens,
        positions=places.expand(3, -1),
        media=[()] * 3,
    )


def plain(path: Path) -> PreTrainedModel:
    """The same weights as transformers alone would run them."""
    return AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()


def rows_of(batch: Batch, completions: Completions) -> list[Tensor]:
    """Every prompt with its completion, one by one."""
    prompts = batch.prompt_ids.split(batch.prompt_lens)
    packed = zip(completions.token_ids, completions.lens, completions.owner, strict=True)
    return [torch.cat([prompts[owner], ids[:length]]) for ids, length, owner in packed]


def plain_logits(path: Path, batch: Batch, completions: Completions) -> list[Tensor]:
    """In the places of each completion's tokens. Shapes: N times (T, V)"""
    model = plain(path)
    return [
        model(row.unsqueeze(0)).logits[0, -length - 1 : -1]
        for row, length in zip(rows_of(batch, completions), completions.lens, strict=True)
    ]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_logprobs_are_those_of_the_plain_model(path, encoder, written, said, checkpointing):
    model = OmniModel.load(str(path), encoder.tokenizer, gradient_checkpointing=checkpointing)
    found = model.logprobs(written, said)
    for row, logits in enumerate(plain_logits(path, written, said)):
        length = said.lens[row]
        logits = logits.masked_fill(model.suppressed, float("-inf")).log_softmax(-1)
        expected = logits.gather(1, said.token_ids[row, :length].unsqueeze(1)).squeeze(1)
        torch.testing.assert_close(found[row, :length], expected, rtol=1e-5, atol=1e-5)
    assert not found[~said.valid].any()


def test_gradients_are_those_of_the_plain_model(path, encoder, written, said):
    model = OmniModel.load(str(path), encoder.tokenizer)
    model.suppressed[:] = False
    model.logprobs(written, said).sum().backward()
    twin = plain(path)
    for row, length in zip(rows_of(written, said), said.lens, strict=True):
        logits = twin(row.unsqueeze(0)).logits[0, -length - 1 : -1]
        logits.log_softmax(-1).gather(1, row[-length:].unsqueeze(1)).sum().backward()
    for (name, one), (_, other) in zip(
        model.thinker.named_parameters(), twin.named_parameters(), strict=True
    ):
        apart = (one.grad - other.grad).norm() / other.grad.norm()
        assert apart < 1e-5, name


def test_greedy_answers_are_those_of_the_plain_model(path, encoder, written):
    model = OmniModel.load(str(path), encoder.tokenizer)
    sampling = Sampling(group_size=2, max_tokens=12, temperature=0.0)
    rollout = model.sample(written, sampling, uniforms=torch.zeros(6, 12))
    suppressed = model.suppressed.nonzero().flatten().tolist()
    twin = plain(path)
    for number, prompt in enumerate(written.prompt_ids.split(written.prompt_lens)):
        out = twin.generate(
            prompt.unsqueeze(0),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=12,
            do_sample=False,
            suppress_tokens=suppressed,
            eos_token_id=encoder.end_id,
            pad_token_id=encoder.end_id,
        )[0, len(prompt) :]
        for row in (2 * number, 2 * number + 1):
            length = rollout.completions.lens[row]
            assert rollout.completions.token_ids[row, :length].tolist() == out.tolist()
    assert len(set(rollout.texts)) == 3


def test_going_on_from_given_words_equals_scoring_them_together(path, encoder, written, said):
    """What is drawn behind them is as likely as when the whole is read at once."""
    model = OmniModel.load(str(path), encoder.tokenizer).eval()
    uniforms = torch.rand(6, 5, generator=torch.Generator().manual_seed(5)).double()
    sampling = Sampling(group_size=2, max_tokens=5)
    rollout = model.sample(written, sampling, uniforms=uniforms, after=said)
    joined = [
        [*given[:n].tolist(), *drawn[:m].tolist()]
        for given, n, drawn, m in zip(
            said.token_ids, said.lens, rollout.completions.token_ids, rollout.completions.lens,
            strict=True,
        )
    ]  # fmt: skip
    whole = model.logprobs(written, Completions.of(joined, said.owner))
    for row, (n, m) in enumerate(zip(said.lens, rollout.completions.lens, strict=True)):
        torch.testing.assert_close(
            rollout.logprobs[row, :m], whole[row, n : n + m], rtol=1e-5, atol=1e-5
        )


def test_options_are_scored_without_ears_and_eyes(path, encoder, written):
    model = OmniModel.load(str(path), encoder.tokenizer)
    options = [[[30, 31], [40]], [[50], [60], [70, 71, 72]], [[80]]]
    scores = plain_option_scores(model, written, options)
    alone = model.logprobs(written, Completions.of([[70, 71, 72]], [1])).sum()
    torch.testing.assert_close(scores[1, 2], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["reverse_kl", "forward_kl", "jsd"])
def test_a_text_model_teaches_a_thinker_token_by_token(
    tmp_path, encoder, policy, written, said, kind
):
    """Of another width, and a head padded by 24 rows."""
    make(tmp_path, encoder, Qwen2Config, beyond=24)
    teacher = OmniModel.load(str(tmp_path), encoder.tokenizer).eval()
    found = policy.divergence(
        written, said, teacher, written, kind=kind, jsd_weight=0.3, temperature=1.7
    )
    student, expected = policy.hidden_states(written, said), teacher.hidden_states(written, said)
    packed = plain_divergence(
        student.states, student.weight, expected.states, expected.weight,
        suppressed=policy.suppressed, kind=kind, jsd_weight=0.3, temperature=1.7,
    )  # fmt: skip
    torch.testing.assert_close(found[said.valid], packed, rtol=1e-5, atol=1e-6)
    assert not found[~said.valid].any()
    found.sum().backward()
    assert policy.backbone.head.weight.grad.any()
    assert not any(p.grad is not None for p in teacher.parameters())


def test_media_are_refused_by_name(path, encoder, ragged):
    model = OmniModel.load(str(path), encoder.tokenizer)
    with pytest.raises(ValueError, match=r"s0 comes with audio, image, video, but .* text alone"):
        model.embed_prompts(ragged)


def test_towers_that_are_not_there_are_frozen(path, encoder):
    model = OmniModel.load(str(path), encoder.tokenizer, freeze_towers=True)
    assert model.backbone.frozen_towers
    assert all(p.requires_grad for p in model.parameters())


def test_adapters_are_refused(path, encoder):
    with pytest.raises(ValueError, match=r"rank is 4.*models that hear or see only.*rank=0"):
        OmniModel.load(str(path), encoder.tokenizer, lora=LoraConfig(rank=4))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (GemmaConfig, {}),
        (Qwen2Config, {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    ],
)
def test_families_whose_attention_is_another_are_refused(tmp_path, encoder, kind, more):
    make(tmp_path, encoder, kind, **more)
    with pytest.raises(ValueError, match=r"cannot be shared in.*llama, qwen2, qwen3"):
        OmniModel.load(str(tmp_path), encoder.tokenizer)


def test_checkpoints_of_other_shapes_are_refused(tmp_path, encoder):
    model = AutoModelForCausalLM.from_config(Qwen2Config(**SHAPE, vocab_size=50))
    model.save_pretrained(tmp_path)
    other = Qwen2Config(**{**SHAPE, "num_hidden_layers": 4}, vocab_size=50)
    other.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"does not fit a Qwen2ForCausalLM: 12 missing tensors"):
        OmniModel.load(str(tmp_path), encoder.tokenizer)


def test_what_is_saved_loads_to_the_same_logprobs(path, encoder, written, said, tmp_path):
    model = OmniModel.load(str(path), encoder.tokenizer)
    model.save(tmp_path / "saved")
    again = OmniModel.load(str(tmp_path / "saved"), encoder.tokenizer)
    assert torch.equal(again.logprobs(written, said), model.logprobs(written, said))
