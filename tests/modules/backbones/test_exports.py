"""Exports read by transformers and peft alone, without any of our code, say what we say."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoProcessor, Qwen2_5OmniThinkerForConditionalGeneration

from configs.load import load_config
from configs.policy import LoraConfig
from datamodules.batch import Batch, Completions
from datamodules.loading.question_set import load_questions
from datamodules.media.files import Decoded
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.templates import user_turn
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from tests.conftest import clip, film, make_prompt, make_sample, picture
from tests.modules.backbones.test_adapters import moved
from tests.modules.backbones.test_kinds import going_on, own_inputs
from tests.tiny_backbones import CLASSES, TAKES, processed, published, tiny
from training.run import save

SAID = [[31, 40, 57], [22], [260, 41, 33, 58]]
ANSWERS = 100


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a training of one kind leaves, and what it was asked."""

    kind: str
    base: Path
    export: Path
    adapter: Path
    policy: OmniModel
    batch: Batch
    inputs: list[dict[str, Tensor]]
    """Of each prompt, by the processor that was exported, with its completion behind it."""


@pytest.fixture(scope="module", params=[*TAKES])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Train adapters of one kind a little, by hand, and leave what a training leaves."""
    kind, folder = str(request.param), tmp_path_factory.mktemp("run")
    base = tiny(kind, folder / "base")
    encoder = PromptEncoder(str(base))
    layers = ["q_proj", "k_proj", "v_proj", "o_proj"]
    lora = LoraConfig(rank=3, alpha=7, targets=layers)
    policy = moved(OmniModel.load(str(base), encoder.tokenizer, lora=lora))
    save(policy, encoder, folder / "export")
    policy.save_adapter(folder / "adapter", base=str(base))
    shown = shown_to(kind)
    samples = [make_sample(f"s{number}") for number in range(3)]
    prompts = [make_prompt(encoder, *pair) for pair in zip(samples, shown, strict=True)]
    reopened = PromptEncoder(str(folder / "export"))
    return Left(
        kind=kind,
        base=base,
        export=folder / "export",
        adapter=folder / "adapter",
        policy=policy,
        batch=collate(samples, prompts, step=0),
        inputs=[
            going_on(own_inputs(kind, reopened, media), torch.tensor(tokens))
            for media, tokens in zip(shown, SAID, strict=True)
        ],
    )


def shown_to(kind: str) -> list[list[Decoded]]:
    """Media of three prompts: a film and what else the kind takes, one medium, and none.

    Sounds are longer than a second: Qwen3-Omni pads shorter ones by what else it hears.
    """
    rng = np.random.default_rng(0)
    takes = TAKES[kind]
    one = [clip(rng, 1.2)] if "audio" in takes else [picture(rng)]
    several = [medium for medium in (picture(rng), clip(rng, 1.1)) if medium.modality in takes]
    seen = [replace(film(rng), audio=clip(rng, 1.3).audio)] if "video" in takes else []
    return [[*several, *seen], one, []]


@torch.no_grad()
def own_logits(model: Any, left: Left) -> list[Tensor]:
    """Logits by transformers alone in the places that predict the completions."""
    found = []
    for inputs, tokens in zip(left.inputs, SAID, strict=True):
        found.append(model.eval()(**inputs).logits[0, -len(tokens) - 1 : -1])
    return found


@torch.no_grad()
def our_logits(policy: OmniModel, left: Left) -> Tensor:
    states = policy.hidden_states(left.batch, Completions.of(SAID, [0, 1, 2]))
    return states.states @ states.weight.T


def test_logits_of_the_export_in_transformers_are_those_of_the_trained_policy(left):
    found = torch.cat(own_logits(published(left.kind, left.export), left))
    ours = our_logits(left.policy, left)
    assert ours.std() > 0.1
    torch.testing.assert_close(found, ours, rtol=0, atol=1e-5)
    before = torch.cat(own_logits(published(left.kind, left.base), left))
    assert (before - found).abs().max() > 1e-2  # what was learned is in it


def test_peft_beside_the_base_says_what_the_merged_export_says(left):
    merged = torch.cat(own_logits(published(left.kind, left.export), left))
    beside = PeftModel.from_pretrained(published(left.kind, left.base), str(left.adapter))
    torch.testing.assert_close(torch.cat(own_logits(beside, left)), merged, rtol=0, atol=1e-5)


def test_peft_itself_merges_to_the_same_weights(left):
    beside = PeftModel.from_pretrained(published(left.kind, left.base), str(left.adapter))
    merged = beside.merge_and_unload().state_dict()
    export = published(left.kind, left.export).state_dict()
    assert merged.keys() == export.keys()
    for name, weight in export.items():
        torch.testing.assert_close(merged[name], weight, rtol=0, atol=1e-6)


def test_the_export_loads_without_a_weight_missing_or_left_over(left):
    _, report = CLASSES[left.kind].from_pretrained(left.export, output_loading_info=True)
    assert not any(report.values())


def test_an_export_in_bfloat16_is_the_float32_merge_rounded_once(left, tmp_path):
    encoder = PromptEncoder(str(left.base))
    lora = LoraConfig(rank=3, alpha=7, targets=["q_proj", "k_proj", "v_proj", "o_proj"])
    low = moved(OmniModel.load(str(left.base), encoder.tokenizer, lora=lora, dtype=torch.bfloat16))
    save(low, encoder, tmp_path / "export")
    found = CLASSES[left.kind].from_pretrained(tmp_path / "export", dtype="auto").state_dict()
    beside = CLASSES[left.kind].from_pretrained(left.base, dtype=torch.bfloat16).float()
    low.save_adapter(tmp_path / "adapter", base="base")
    whole = PeftModel.from_pretrained(beside, str(tmp_path / "adapter")).merge_and_unload()
    expected = {name: weight.bfloat16() for name, weight in whole.state_dict().items()}
    adapted = {name.rpartition(".base_layer")[0] for name in low.thinker.state_dict()} - {""}
    assert adapted
    for name in adapted:
        assert found[f"{name}.weight"].dtype == torch.bfloat16
        assert torch.equal(found[f"{name}.weight"], expected[f"{name}.weight"]), name


def test_a_hundred_greedy_answers_in_transformers_are_ours(root, tmp_path):
    """The tiny model that ships, on questions of all families, with media of every kind."""
    config = load_config(["stage=benchmark", f"data.root={root}"], ("benchmark",))
    encoder = PromptEncoder(config.model.path, answer_with=config.model.answer_with)
    policy = OmniModel.load(config.model.path, encoder.tokenizer)
    save(policy, encoder, tmp_path / "export")
    questions = load_questions(config.data, "test", encoder, run_dir=tmp_path)
    kinds = Qwen2_5OmniThinkerForConditionalGeneration
    own = kinds.from_pretrained(tmp_path / "export", dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tmp_path / "export")
    sampling = Sampling(group_size=1, max_tokens=24, temperature=0.0)
    spread = range(0, len(questions.samples), len(questions.samples) // ANSWERS)[:ANSWERS]
    ours, theirs, met = [], [], set()
    for start in range(0, ANSWERS, 20):
        batch = questions.batch(spread[start : start + 20], step=0)
        assert batch is not None and len(batch) == 20
        draws = torch.zeros(20, sampling.max_tokens)
        ours += policy.sample(batch, sampling, uniforms=draws).texts
        for sample in batch.samples:
            media = [one for part in questions.visible_media(sample) for one in part]
            met |= {one.modality for one in media if isinstance(one, Decoded)}
            theirs.append(generated(own, processor, user_turn(sample), media))
    assert met == {"audio", "image", "video"} and len(set(ours)) > 10
    assert [answer for answer in ours if "<answer>" in answer]
    assert theirs == ours


def generated(own: Any, processor: Any, pieces: list[str | int], media: list[Any]) -> str:
    """Answer one question by transformers alone."""
    content: list[dict[str, str]] = []
    for piece in pieces:
        if isinstance(piece, str):
            content.append({"type": "text", "text": piece})
            continue
        medium = media[piece]
        parts = {"image": medium.image, "video": medium.frames, "audio": medium.audio}
        content += [{"type": name} for name, part in parts.items() if part is not None]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    shown = [media[piece] for piece in pieces if isinstance(piece, int)]
    inputs = dict(processed("qwen2_5_omni", processor, text, shown))
    out = own.generate(
        **inputs,
        max_new_tokens=24,
        do_sample=False,
        eos_token_id=processor.tokenizer.eos_token_id,
        pad_token_id=processor.tokenizer.pad_token_id,
    )[0, inputs["input_ids"].shape[1] :]
    return str(processor.tokenizer.decode(out, skip_special_tokens=True))
