"""Make `model=tiny`: the real thinker class from a small configuration, with a real processor.

    python -m assets.make_tiny untrained DIRECTORY     random weights, vocabulary from data/digits
    python -m assets.make_tiny keep EXPORT             put a trained export into assets/tiny

`make tiny-model` runs both, and `train.py stage=sft` between them.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    WhisperFeatureExtractor,
)

from datamodules.digits.build import ensure
from datamodules.prompts.templates import INSTRUCTIONS
from modules.backbones.loading import open_model
from pretrained.loading import open_processor

SPECIAL = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
"""Qwen2.5-Omni's names for the tokens around media."""

WORDS = 640
"""Size of the vocabulary: 256 bytes, the special tokens, and merges learned from the questions."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>"
    "{% elif part['type'] == 'image' %}<|vision_bos|><|IMAGE|><|vision_eos|>"
    "{% elif part['type'] == 'video' %}<|vision_bos|><|VIDEO|><|vision_eos|>"
    "{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen's turn markers; parts in the order given."""

WIDTH = 192
MEL_BINS = 64
PIXELS = 56 * 56


def make_tokenizer(corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn a byte-level vocabulary from the questions themselves."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *SPECIAL.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens(["<answer>", "</answer>"])  # text like any other, but one token each
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=SPECIAL,
        chat_template=CHAT_TEMPLATE,
    )


def make_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5OmniProcessor:
    """Assemble the published processor class with budgets fit for 56 x 56 pictures."""
    size = {"shortest_edge": PIXELS, "longest_edge": PIXELS}
    return Qwen2_5OmniProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        video_processor=Qwen2VLVideoProcessor(size=size),
        feature_extractor=WhisperFeatureExtractor(
            feature_size=MEL_BINS, chunk_length=30, return_attention_mask=True
        ),
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE,
    )


def make_thinker(
    tokenizer: PreTrainedTokenizerFast, *, seed: int
) -> Qwen2_5OmniThinkerForConditionalGeneration:
    """Build the thinker with random weights: two towers of two layers, four layers of language."""
    token = tokenizer.convert_tokens_to_ids
    settings: dict[str, Any] = {
        "audio_config": {
            "num_mel_bins": MEL_BINS,
            "encoder_layers": 2,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 512,
            "d_model": 128,
            "output_dim": WIDTH,
            "max_source_positions": 1500,
        },
        "vision_config": {
            "depth": 2,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 4,
            "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [1],
        },
        "text_config": {
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [4, 6, 6],
            },
            "pad_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
        },
        "audio_token_id": token("<|AUDIO|>"),
        "image_token_id": token("<|IMAGE|>"),
        "video_token_id": token("<|VIDEO|>"),
        "audio_start_token_id": token("<|audio_bos|>"),
        "audio_end_token_id": token("<|audio_eos|>"),
        "vision_start_token_id": token("<|vision_bos|>"),
        "vision_end_token_id": token("<|vision_eos|>"),
    }
    torch.manual_seed(seed)
    return Qwen2_5OmniThinkerForConditionalGeneration(Qwen2_5OmniThinkerConfig(**settings))


def corpus_of(root: Path) -> Iterator[str]:
    """Read every text that the warm questions hold, and the instructions put to them."""
    yield from (f"assistant\nuser\n{instruction}" for instruction in INSTRUCTIONS.values())
    with (root / "warm.jsonl").open() as rows:
        for row in map(json.loads, rows):
            options = [
                f"{letter}. {text}"
                for letter, text in zip("ABCDEFGH", row.get("options", ()), strict=False)
            ]
            yield "\n".join([row["question"], *options, row["answer"], row.get("completion", "")])


def make_tiny(path: Path, *, corpus: Iterable[str], seed: int = 0) -> None:
    """Write the untrained model and its processor to `path`."""
    tokenizer = make_tokenizer(corpus)
    make_thinker(tokenizer, seed=seed).save_pretrained(path)
    make_processor(tokenizer).save_pretrained(path)


def keep(export: Path, kept: Path) -> None:
    """Put a trained model where `model=tiny` finds it, at half the size: in bfloat16."""
    thinker = open_model(str(export), dtype=torch.bfloat16)
    thinker.save_pretrained(kept)
    open_processor(str(export)).save_pretrained(kept)


if __name__ == "__main__":
    task, directory = sys.argv[1:]
    if task == "keep":
        keep(Path(directory), Path("assets/tiny"))
    else:
        digits = Path("data/digits")
        ensure(digits)
        make_tiny(Path(directory), corpus=corpus_of(digits))
