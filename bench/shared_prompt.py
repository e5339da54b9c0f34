"""What reading a prompt once for its group saves: `python -m bench.shared_prompt`.

Times the policy-gradient pass (forward and backward, towers included) and the rollout on the tiny
model, once with prompts shared by their group and once with a copy of the prompt for every
completion, in turns. Counters do not depend on the machine: tokens through the language model and
items through the towers. The bound is what the token counts alone allow, G (P + R) / (P + G R).
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from datamodules.batch import Batch, Completions
from datamodules.media.files import Decoded
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder
from datamodules.sample import Sample
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling


def question(name: str, text: str) -> Sample:
    """Ask something with two options."""
    return Sample(
        id=name,
        question=text,
        options=("3", "8"),
        answer="A",
        answer_type="choice",
        source="bench",
        asset_id=name,
        content_hash="0" * 32,
    )


def make_batch(encoder: PromptEncoder, pictures: int, copies: int) -> Batch:
    """Put `copies` of one prompt with so many pictures into a batch."""
    rng = np.random.default_rng(0)
    shown = [
        Decoded(modality="image", image=rng.integers(0, 255, (56, 56, 3), dtype=np.uint8))
        for _ in range(pictures)
    ]
    sample = question("a", "Which digit is it?")
    prompt = encoder.prompt(sample, [("context", encoder.features(one)) for one in shown])
    return collate([sample] * copies, [prompt] * copies, step=0)


def update(policy: OmniModel, batch: Batch, completions: Completions) -> Callable[[], None]:
    """Return one forward and backward pass over the completions."""

    def run() -> None:
        policy.zero_grad()
        policy.logprobs(batch, completions).sum().backward()

    return run


def rollout(policy: OmniModel, batch: Batch, group: int, length: int) -> Callable[[], None]:
    """Return one rollout whose completions all run to `length`."""
    uniforms = batch.uniforms(seed=0, group_size=group, length=length)
    sampling = Sampling(group_size=group, max_tokens=length)

    def run() -> None:
        policy.sample(batch, sampling, uniforms=uniforms)

    return run


def medians(rounds: int, *runs: Callable[[], None]) -> list[float]:
    """Run each in turn, so that a busy machine slows all alike; drop the first round."""
    times: list[list[float]] = [[] for _ in runs]
    for attempt in range(rounds + 1):
        for kept, run in zip(times, runs, strict=True):
            started = time.perf_counter()
            run()
            if attempt:
                kept.append(time.perf_counter() - started)
    return [statistics.median(kept) for kept in times]


def main() -> None:
    """Print one line for each prompt length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", type=int, default=8, help="completions per prompt")
    parser.add_argument("--length", type=int, default=32, help="tokens of a completion")
    parser.add_argument("--rounds", type=int, default=7, help="timed repetitions")
    settings = parser.parse_args()
    group, length = settings.group, settings.length
    encoder = PromptEncoder("assets/tiny")
    policy = OmniModel.load("assets/tiny", encoder.tokenizer)
    policy.vocabulary.end_id = -1  # nothing ends early
    ids = torch.randint(20, 300, (group, length)).tolist()
    print(f"G={group} R={length}; medians of {settings.rounds} interleaved rounds, in ms")
    print("    P  update shared / repeated = gain (bound)  rollout shared / repeated = gain")
    for pictures in (16, 80, 160):
        shared, repeated = (make_batch(encoder, pictures, n) for n in (1, group))
        prompt = shared.prompt_lens[0]
        times = medians(
            settings.rounds,
            update(policy, shared, Completions.of(ids, [0] * group)),
            update(policy, repeated, Completions.of(ids, range(group))),
            rollout(policy, shared, group, length),
            rollout(policy, repeated, 1, length),
        )
        a, b, c, d = (1000 * value for value in times)
        bound = group * (prompt + length) / (prompt + group * length)
        print(
            f"{prompt:>5}  {a:>10.0f} / {b:>8.0f} = {b / a:>4.2f}x ({bound:.2f}x)"
            f"  {c:>10.0f} / {d:>8.0f} = {d / c:>4.2f}x"
        )


if __name__ == "__main__":
    main()
