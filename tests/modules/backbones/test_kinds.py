"""One contract for every kind of model: what transformers' own class computes, prompts shared."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from configs.policy import LoraConfig
from datamodules.batch import Batch
from datamodules.media.files import Decoded, MediaError
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from tests.conftest import clip, film, make_prompt, make_sample, picture
from tests.fake_gpu import FakeGpu
from tests.modules.policy.test_omni import distance, gradients, repeated
from tests.tiny_backbones import TAKES, processed, published, tiny

QUESTION = "Which digit is it?\nA. 3\nB. 8\nC. 5\nAnswer with the letter in <answer></answer>."

Shown = list[list[Decoded]]


@pytest.fixture(scope="module", params=[*TAKES])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def path(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(kind, tmp_path_factory.mktemp(kind))


@pytest.fixture(scope="module")
def media(kind: str) -> Shown:
    """Of three prompts: several kinds, two of one kind, and none."""
    rng = np.random.default_rng(0)
    takes = TAKES[kind]
    heard = replace(film(rng), audio=clip(rng, 1.3).audio)  # in a second, towers' windows end
    mixed = [picture(rng), heard, clip(rng, 1.1)]
    if "image" not in takes:
        mixed = [heard, clip(rng, 1.1)]
    same = [clip(rng, 1.2), clip(rng, 1.9)] if "audio" in takes else [picture(rng), picture(rng)]
    return [[m for m in mixed if m.modality in takes or m.modality == "video"], same, []]


@pytest.fixture(scope="module")
def batch(speaker: PromptEncoder, media: Shown) -> Batch:
    samples = [make_sample(f"s{number}") for number in range(3)]
    prompts = [make_prompt(speaker, *pair) for pair in zip(samples, media, strict=True)]
    return collate(samples, prompts, step=0)


def load(path: Path, speaker: PromptEncoder, **options: Any) -> OmniModel:
    return OmniModel.load(str(path), speaker.tokenizer, **options)


def own_inputs(kind: str, speaker: PromptEncoder, shown: list[Decoded]) -> dict[str, Tensor]:
    """What the processor makes of the same question, given the template's own words for media."""
    takes = TAKES[kind]
    kinds = [
        one
        for medium in shown
        for one, part in (
            ("image", medium.image),
            ("video", medium.frames),
            ("audio", medium.audio),
        )
        if part is not None and one in takes
    ]
    content = [*({"type": one} for one in kinds), {"type": "text", "text": QUESTION}]
    text = speaker.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    return dict(processed(kind, speaker.processor, text, shown))


def going_on(inputs: dict[str, Tensor], ids: Tensor) -> dict[str, Tensor]:
    """Put a completion behind a prompt, in every input that has a place for each token."""
    fill = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    fill["mm_token_type_ids"] = torch.zeros_like(ids)
    return {
        name: torch.cat([value, fill[name].unsqueeze(0).to(value.dtype)], 1)
        if name in fill
        else value
        for name, value in inputs.items()
    }


def language_of(model: nn.Module) -> nn.Module:
    """The part that is called last with embeddings, whatever it is called."""
    names = [name for name, _ in model.named_modules() if name.endswith("embed_tokens")]
    return model.get_submodule(names[0].rpartition(".")[0])


@torch.no_grad()
def own_forward(model: nn.Module, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Run transformers' forward. Shapes: -> logits (P, V), positions (3, P)"""
    met: list[Any] = []
    hook = language_of(model).register_forward_pre_hook(
        lambda _module, _args, kwargs: met.append(kwargs.get("position_ids")), with_kwargs=True
    )
    try:
        logits = model(**inputs).logits[0]
    finally:
        hook.remove()
    if met[0] is None:
        return logits, torch.arange(len(logits)).expand(3, -1)
    return logits, met[0][-3:, 0] if met[0].ndim == 3 else met[0].expand(3, -1)


def test_prompts_are_those_of_the_kinds_own_processor(kind, path, speaker, media, batch):
    """Token ids, positions, and what is seen and heard."""
    model = published(kind, path)
    ids, positions = (
        part.split(batch.prompt_lens, -1) for part in (batch.prompt_ids, batch.positions)
    )
    for number, shown in enumerate(media):
        inputs = own_inputs(kind, speaker, shown)
        assert inputs["input_ids"][0].tolist() == ids[number].tolist()
        _, expected = own_forward(model, inputs)
        assert torch.equal(positions[number], expected)


def test_logprobs_are_those_of_transformers_own_forward(kind, path, speaker, media, batch, said):
    model, own = load(path, speaker), published(kind, path)
    found = model.logprobs(batch, said)
    assert found[said.valid].std() > 0.01
    for row, (length, owner) in enumerate(zip(said.lens, said.owner, strict=True)):
        ids = said.token_ids[row, :length]
        inputs = going_on(own_inputs(kind, speaker, media[owner]), ids)
        logits, _ = own_forward(own, inputs)
        logits = logits[-length - 1 : -1].masked_fill(model.suppressed, float("-inf"))
        expected = logits.log_softmax(-1).gather(1, ids.unsqueeze(1)).squeeze(1)
        torch.testing.assert_close(found[row, :length], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_repeated_prompts(path, speaker, batch, said, checkpointing):
    """And recomputing activations keeps them."""
    weight = torch.linspace(-1, 2, said.token_ids.numel()).view_as(said.token_ids)
    plain, shared = load(path, speaker), load(path, speaker, gradient_checkpointing=checkpointing)
    expected = gradients(plain, (repeated(plain, batch, said) * weight).sum())
    found = gradients(shared, (shared.logprobs(batch, said) * weight).sum())
    assert distance(found, expected) < 1e-5


def test_nothing_of_a_step_lies_on_another_device(path, speaker, batch, said):
    """Towers, scores, gradients and decoding, with tensors that say they are on a GPU."""
    policy = load(path, speaker)
    policy.backbone.language.set_experts_implementation("eager")  # others ask a real GPU its kind
    with FakeGpu() as gpu:
        gpu.moved(policy)
        there = batch.to("cuda")
        encoded = policy.embed_prompts(there)
        policy.scores(there, said.to("cuda"), encoded=encoded).logprobs.sum().backward()
        uniforms = there.uniforms(seed=1, group_size=2, length=3)
        sampling = Sampling(group_size=2, max_tokens=3)
        found = policy.sample(there, sampling, uniforms=uniforms, encoded=encoded)
    assert found.logprobs.is_cuda and policy.backbone.head.weight.grad.is_cuda


def test_greedy_answers_are_those_of_generate(kind, path, speaker, media, batch):
    model, own = load(path, speaker), published(kind, path)
    sampling = Sampling(group_size=1, max_tokens=8, temperature=0.0)
    rollout = model.sample(batch, sampling, uniforms=torch.zeros(3, 8))
    for number, shown in enumerate(media):
        inputs = own_inputs(kind, speaker, shown)
        out = own.generate(
            **inputs,
            max_new_tokens=8,
            do_sample=False,
            suppress_tokens=model.suppressed.nonzero().flatten().tolist(),
            eos_token_id=speaker.end_id,
            pad_token_id=speaker.end_id,
        )[0, inputs["input_ids"].shape[1] :]
        length = rollout.completions.lens[number]
        assert rollout.completions.token_ids[number, :length].tolist() == out.tolist()
    assert len(set(rollout.texts)) > 1


def test_other_media_give_other_logprobs(kind, path, speaker, batch, said):
    """A model that is blind or deaf would not notice."""
    model = load(path, speaker)
    before = model.logprobs(batch, said)
    for field in ("audio", "images", "videos"):
        values = getattr(batch, field)
        assert (values is None) == (
            {"images": "image", "videos": "video"}.get(field, field) not in TAKES[kind]
        )
        if values is not None:
            changed = model.logprobs(replace(batch, **{field: values.flip(-1)}), said)
            assert (before - changed)[:4].abs().max() > 1e-4
            assert torch.equal(before[4:], changed[4:])  # the third prompt has no media


def test_no_question_may_hold_a_special_token_and_no_answer_can(path, speaker, batch):
    model = load(path, speaker)
    special = [t for t in speaker.tokenizer.added_tokens_decoder.values() if t.special]
    assert len(special) > 5
    for token in special:
        with pytest.raises(MediaError, match="may not contain special tokens"):
            speaker.prompt(make_sample(question=f"What is {token.content}?"), [])
    ids = speaker.tokenizer.convert_tokens_to_ids([t.content for t in special])
    assert [i for i in ids if not model.suppressed[i]] == [speaker.end_id]
    assert all(model.suppressed[id_] for id_ in model.backbone.media_ids.values())


def test_media_that_a_kind_has_no_sense_for_are_refused_by_name(kind, speaker):
    rng = np.random.default_rng(1)
    lacking = {"audio": clip, "image": picture}
    for modality in lacking.keys() - TAKES[kind]:
        sense = "hear" if modality == "audio" else "see"
        with pytest.raises(ValueError, match=rf"cannot {sense}, but .*\({modality}\).* or choose"):
            speaker.features(lacking[modality](rng))


def test_of_a_film_everything_is_taken_that_there_is_a_sense_for(kind, speaker):
    whole = speaker.features(film(np.random.default_rng(1)))
    assert [feature.kind for feature in whole] == [
        one for one in ("video", "audio") if one in TAKES[kind]
    ]


def test_what_is_saved_loads_strictly_to_the_same_logprobs(path, speaker, batch, said, tmp_path):
    model = load(path, speaker)
    model.save(tmp_path)
    speaker.processor.save_pretrained(tmp_path)
    again = load(tmp_path, PromptEncoder(str(tmp_path)))
    assert torch.equal(again.logprobs(batch, said), model.logprobs(batch, said))


def test_adapters_stand_beside_layers_of_language_alone_where_towers_are_frozen(
    path, speaker, batch, said
):
    torch.manual_seed(0)
    lora = LoraConfig(rank=2, targets=["q_proj", "o_proj"])
    model = load(path, speaker, lora=lora, freeze_towers=True)
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    language = {p for p in model.backbone.language.parameters() if p.requires_grad}
    layers = len(model.backbone.language.layers)
    assert len(names) == len(language) == layers * 2 * 2
    assert all("lora_" in name for name in names)
    assert torch.equal(model.logprobs(batch, said), load(path, speaker).logprobs(batch, said))


def test_frozen_towers_learn_nothing_and_all_else_does(path, speaker, batch, said):
    model = load(path, speaker, freeze_towers=True)
    towers = {id(p) for tower in model.backbone.towers for p in tower.parameters()}
    assert model.backbone.frozen_towers and towers
    found = gradients(model, model.logprobs(batch, said).sum())
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    learning = {name for name, p in model.named_parameters() if id(p) not in towers}
    assert found.keys() == learning
    assert frozen == {name for name, p in model.named_parameters() if id(p) in towers}


def test_media_are_sensed_once_with_a_tower_cache(path, speaker, batch, said, tmp_path):
    """What comes out of the cache is what went in, bit by bit, in another process as well."""
    expected = load(path, speaker).logprobs(batch, said)
    for calls_expected in (1, 0):
        model = load(path, speaker, freeze_towers=True, tower_cache=str(tmp_path))
        calls: list[int] = []
        for tower in model.backbone.towers:
            tower.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        assert torch.equal(model.logprobs(batch, said), expected)
        assert bool(calls) == bool(calls_expected)
