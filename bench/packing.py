"""What packing saves in supervised training on prompts of mixed lengths: `python -m bench.packing`.

One optimizer step (forward and backward, towers included) on the same questions with the tiny
model's weights: once packed, as `sft.pack_tokens` cuts it, and once as TRL's SFTTrainer collates
it, in batches padded on the right with a 2-D mask, through the plain forward of transformers and
its own loss. The padded side is given its positions and need not compute them. Losses and gradients
must agree. Counters do not depend on the machine: tokens through the language model and rows
through its head.
"""

import argparse
import random
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from bench.shared_prompt import medians, question
from datamodules.batch import Batch, Completions
from datamodules.loading.packing import pack_batches
from datamodules.media.files import Decoded
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder
from modules.policy.omni import OmniModel
from pretrained.loading import open_weights

IGNORED = -100
"""What a label holds where nothing is to be learned, in transformers."""


def make_step(encoder: PromptEncoder, count: int, seed: int) -> Batch:
    """Make as many questions of text, sound, picture and film, of many lengths, in random order."""
    rng, draw = np.random.default_rng(seed), random.Random(seed)
    samples, prompts, targets = [], [], []
    for number in draw.sample(range(count), count):
        medium = make_medium(rng, draw, number % 4)
        sample = question(f"s{number}", "Which digit is it? " * draw.randint(1, 4))
        media = [] if medium is None else [("context", encoder.features(medium))]
        samples.append(sample)
        prompts.append(encoder.prompt(sample, media))
        targets.append([draw.randrange(20, 300) for _ in range(draw.randint(4, 40))])
    return collate(samples, prompts, step=0, targets=targets)


def make_medium(rng: np.random.Generator, draw: random.Random, kind: int) -> Decoded | None:
    """Draw nothing, a sound of 1 to 4 s, a picture, or a film of 48 to 128 frames."""
    if kind == 0:
        return None
    if kind == 1:
        wave = rng.normal(size=draw.randint(16_000, 64_000)).astype(np.float32) * 0.1
        return Decoded(modality="audio", audio=wave)
    side = 28 * draw.randint(2, 5)
    if kind == 2:
        pixels = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
        return Decoded(modality="image", image=pixels)
    frames = rng.integers(0, 255, (2 * draw.randint(24, 64), 84, 84, 3), dtype=np.uint8)
    return Decoded(modality="video", frames=frames, fps=2.0)


def packed_step(policy: OmniModel, packs: Sequence[Batch], tokens: int) -> Callable[[], float]:
    """Return the step in packs; it tells its loss, the mean over the tokens to imitate."""

    def run() -> float:
        policy.zero_grad()
        total = 0.0
        for pack in packs:
            assert pack.targets is not None
            completions = Completions.of(pack.targets, range(len(pack)))
            loss = -policy.logprobs(pack, completions).sum() / tokens
            loss.backward()
            total += loss.item()
        return total

    return run


def towers_alone(policy: OmniModel, whole: Batch) -> Callable[[], None]:
    """Return what both sides spend on media alike, forward and backward."""

    def run() -> None:
        policy.zero_grad()
        policy.embed_prompts(whole).sum().backward()

    return run


def padded_step(
    thinker: Qwen2_5OmniThinkerForConditionalGeneration,
    batches: Sequence[dict[str, Tensor]],
    tokens: int,
) -> Callable[[], float]:
    """Return the step in padded batches, as a trainer on transformers takes it."""

    def run() -> float:
        thinker.zero_grad()
        total = 0.0
        for inputs in batches:
            loss = thinker(**inputs, use_cache=False, num_items_in_batch=tokens).loss
            loss.backward()
            total += loss.item()
        return total

    return run


def padded(batch: Batch) -> dict[str, Tensor]:
    """Collate prompts and targets as padded rows, with what transformers calls their media."""
    assert batch.targets is not None
    pairs = zip(batch.prompt_ids.split(batch.prompt_lens), batch.targets, strict=True)
    rows = [torch.cat([prompt, torch.tensor(target)]) for prompt, target in pairs]
    labels = [
        torch.cat([torch.full((length,), IGNORED), torch.tensor(target)])
        for length, target in zip(batch.prompt_lens, batch.targets, strict=True)
    ]
    positions = [
        torch.cat([part, part.max() + 1 + torch.arange(len(target)).expand(3, -1)], dim=1)
        for part, target in zip(
            batch.positions.split(batch.prompt_lens, dim=1), batch.targets, strict=True
        )
    ]
    inputs = {
        "input_ids": pad_sequence(rows, batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in rows], batch_first=True),
        "position_ids": pad_sequence([p.T for p in positions]).permute(2, 1, 0),  # (3, B, S)
    }
    if batch.audio is not None and batch.audio_lens is not None:
        clips = batch.audio.split(batch.audio_lens.tolist(), dim=1)
        inputs["input_features"] = pad_sequence([c.T for c in clips], batch_first=True).mT
        frames = torch.arange(int(batch.audio_lens.max()))
        inputs["feature_attention_mask"] = (frames < batch.audio_lens.unsqueeze(1)).long()
    names = {
        "pixel_values": batch.images,
        "image_grid_thw": batch.image_grid,
        "pixel_values_videos": batch.videos,
        "video_grid_thw": batch.video_grid,
    }
    return inputs | {name: value for name, value in names.items() if value is not None}


def parted(batch: Batch, size: int) -> list[Batch]:
    """Cut a step into batches of so many prompts, in their order."""
    return [batch.select(range(n, min(n + size, len(batch)))) for n in range(0, len(batch), size)]


def gradient(model: torch.nn.Module) -> Tensor:
    """Put all gradients into one row, by name."""
    named = sorted(model.named_parameters())
    return torch.cat([p.grad.flatten() for _, p in named if p.grad is not None])


def main() -> None:
    """Print one line for each size of a padded batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=16, help="of one optimizer step")
    parser.add_argument("--budget", type=int, default=1024, help="sft.pack_tokens")
    parser.add_argument("--rounds", type=int, default=7, help="timed repetitions")
    parser.add_argument("--seed", type=int, default=0, help="of the questions")
    settings = parser.parse_args()
    encoder = PromptEncoder("assets/tiny")
    policy = OmniModel.load("assets/tiny", encoder.tokenizer)
    policy.suppressed.zero_()  # the plain loss lets media placeholders be said
    thinker, _ = open_weights(
        Qwen2_5OmniThinkerForConditionalGeneration, "assets/tiny", dtype=torch.float32
    )
    thinker.train()
    whole = make_step(encoder, settings.prompts, settings.seed)
    assert whole.targets is not None
    lens = [p + len(t) for p, t in zip(whole.prompt_lens, whole.targets, strict=True)]
    learned = sum(map(len, whole.targets))
    packs = pack_batches([whole], budget=settings.budget)
    print(
        f"{len(lens)} prompts of {min(lens)} to {max(lens)} tokens with their targets, {sum(lens)} "
        f"in all, {learned} to imitate; medians of {settings.rounds} interleaved rounds, in ms"
    )
    steps = [packed_step(policy, packs, learned)]
    counted = [(len(packs), sum(lens), learned)]
    for size in (size for size in (1, 2, 4, 8, 16) if size <= len(lens)):
        batches = [padded(part) for part in parted(whole, size)]
        steps.append(padded_step(thinker, batches, learned))
        read = sum(batch["input_ids"].numel() for batch in batches)
        counted.append((len(batches), read, read))
        torch.testing.assert_close(steps[-1](), steps[0](), rtol=1e-5, atol=0)
        apart = (gradient(thinker) - gradient(policy.thinker)).norm() / gradient(thinker).norm()
        assert apart < 1e-4, f"the gradients are {apart:.1e} apart"
    towers, *times = medians(settings.rounds, towers_alone(policy, whole), *steps)
    names = ["packed", *(f"padded, {-(-len(lens) // n)} a batch" for n, *_ in counted[1:])]
    for name, (parts, read, headed), seconds in zip(names, counted, times, strict=True):
        print(
            f"  {name:<22}{parts:>3} micro-batches{read:>7} tokens{headed:>7} through the head"
            f"{1000 * seconds:>8.0f} ms  ({read / sum(lens):.2f}x the tokens, "
            f"{seconds / times[0]:.2f}x the time, "
            f"{(seconds - towers) / (times[0] - towers):.2f}x without towers)"
        )
    print(f"  towers alone: {1000 * towers:.0f} ms of each")


if __name__ == "__main__":
    main()
