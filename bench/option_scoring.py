"""What scoring all options under all orders in one pass saves: `python -m bench.option_scoring`.

The same numbers are computed four ways, in turns, on the tiny model: one pass in which the orders
of a question share what their prompts begin with, and options branch off the rest; one pass in
which the rest is repeated for each option instead; a pass for each order, its options as
continuations of its prompt; and a pass for each order and option, as harnesses without shared
prompts do it. Counters do not depend on the machine: media through the towers and tokens through
the language model.
"""

import argparse
import json
import logging
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.shared_prompt import medians
from configs.schema import DataConfig, MediaConfig
from datamodules.batch import Batch, Completions, OptionScoring
from datamodules.loading.option_scoring import option_scoring
from datamodules.loading.question_set import QuestionSet, load_questions
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.orders import option_order, put
from modules.grading import score
from modules.policy.omni import OmniModel

WORDS = ("dog", "barks", "twice", "while", "rain", "falls", "loud", "on", "some", "tin", "roof")
Scored = Callable[[], list[float]]
"""Returns the score of each option of the first order, as written, then of the second, ..."""


def make_questions(root: Path, encoder: PromptEncoder, pictures: int, words: int) -> QuestionSet:
    """Write one four-way question about so many pictures, its options of so many words."""
    rng = np.random.default_rng(0)
    media = [{"modality": "image", "path": f"{number}.png"} for number in range(pictures)]
    for item in media:
        pixels = rng.integers(0, 255, (56, 56, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / item["path"])
    draw = random.Random(0)
    options = [" ".join(draw.choices(WORDS, k=words)) for _ in range(4)]
    row = {"id": "a", "question": "Which?", "options": options, "answer": "B", "media": media}
    (root / "train.jsonl").write_text(json.dumps(row) + "\n")
    budget = MediaConfig(image_max_pixels=3136, video_max_frames=2, audio_max_seconds=1.0)
    data = DataConfig(name="one", root=str(root), media=budget)
    return load_questions(data, "train", encoder, run_dir=root)


def one_pass(policy: OmniModel, scoring: OptionScoring) -> Scored:
    """Return the pass over everything at once; scores stand order by order, options as written."""

    def run() -> list[float]:
        (scores,) = score(policy, scoring)
        return [value for order in scores.logprobs for value in order]

    return run


def one_pass_unbranched(policy: OmniModel, scoring: OptionScoring) -> Scored:
    """Return the pass in which each option has a copy of the rest of the prompt in front."""
    completions, scored = unbranched(scoring.completions)
    count = len(scoring.options[0])
    places = [n * count + o for n, order in enumerate(scoring.options) for o in order]

    @torch.no_grad()
    def run() -> list[float]:
        logprobs = policy.logprobs(scoring.batch, completions, scored=scored)
        return in_order(places, logprobs.sum(1).tolist())

    return run


def unbranched(forked: Completions) -> tuple[Completions, Tensor]:
    """Repeat each trunk for its branches; the mask is True on what was a branch."""
    assert forked.branch is not None
    rows, trunks, owner = [], [], []
    for ids, branch, prompt in zip(forked.token_ids, forked.branch, forked.owner, strict=True):
        trunk = ids[: int((branch > 0).int().argmax())].tolist()
        for number in range(1, int(branch.max()) + 1):
            rows.append(trunk + ids[branch == number].tolist())
            trunks.append(len(trunk))
            owner.append(prompt)
    completions = Completions.of(rows, owner)
    places = torch.arange(completions.token_ids.shape[1])
    return completions, completions.valid & (places >= torch.tensor(trunks).unsqueeze(1))


def in_order(places: list[int], values: list[float]) -> list[float]:
    """Put each value in its place."""
    return [value for _, value in sorted(zip(places, values, strict=True))]


@torch.no_grad()
def plain_option_scores(
    policy: OmniModel, batch: Batch, options: Sequence[Sequence[Sequence[int]]]
) -> Tensor:
    """Score every option of every prompt as a completion of its own.

    Shapes: -> (B, O) summed log-probs, -inf where a prompt has fewer than O options

    Args:
        options: for each prompt, the token ids of each of its options' completions.
    """
    owner = [prompt for prompt, group in enumerate(options) for _ in group]
    flat = Completions.of([ids for group in options for ids in group], owner)
    scores = policy.logprobs(batch, flat.to(batch.prompt_ids.device)).sum(1)  # (N,)
    counts = torch.tensor([len(group) for group in options], device=scores.device)
    places = torch.arange(int(counts.max()), device=scores.device) < counts.unsqueeze(1)
    return torch.full_like(places, float("-inf"), dtype=scores.dtype).masked_scatter(places, scores)


def passes(
    policy: OmniModel, prompts: list[Batch], answers: list[list[list[int]]], places: list[int]
) -> Scored:
    """Return one pass for each prompt, with the answers that it is to score."""

    def run() -> list[float]:
        found = [
            value
            for batch, ids in zip(prompts, answers, strict=True)
            for value in plain_option_scores(policy, batch, [ids])[0].tolist()
        ]
        return in_order(places, found)

    return run


def read(prompts: list[Batch], answers: list[list[list[int]]]) -> tuple[int, int]:
    """Count media through the towers and tokens through the language model."""
    pictures = sum(0 if batch.image_grid is None else len(batch.image_grid) for batch in prompts)
    tokens = sum(len(batch.prompt_ids) for batch in prompts)
    return pictures, tokens + sum(len(ids) for group in answers for ids in group)


def compare(policy: OmniModel, questions: QuestionSet, orders: int, rounds: int) -> None:
    """Print counters and times of the four ways for one question."""
    sample, encoder = questions.samples[0], questions.encoder
    scoring = option_scoring(questions, [0], orders=orders, step=0)
    assert scoring is not None
    turned = [
        put(sample, option_seed=seed, answer_with=encoder.answer_with) for seed in range(orders)
    ]
    questions.samples = turned
    prompts = [batch for n in range(orders) if (batch := questions.batch([n], step=0))]
    answers = [*map(encoder.option_targets, turned)]
    count = len(sample.options)
    places = [n * count + o for n in range(orders) for o in option_order(sample, n)]
    single = [[ids] for group in answers for ids in group]
    repeated = [batch for batch in prompts for _ in range(count)]
    ways = (
        one_pass(policy, scoring),
        one_pass_unbranched(policy, scoring),
        passes(policy, prompts, answers, places),
        passes(policy, repeated, single, places),
    )
    expected, *others = (torch.tensor(way()) for way in ways)
    for other in others:
        torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-4)
    times = medians(rounds, *ways)
    media, shared = read([scoring.batch], [])
    counted = [
        (media, shared + sum(scoring.completions.lens)),
        (media, shared + sum(unbranched(scoring.completions)[0].lens)),
        read(prompts, answers),
        read(repeated, single),
    ]
    print(f"\nprompts of {prompts[0].prompt_lens[0]} tokens, {shared} of them shared")
    names = (
        "one pass",
        "one, the rest repeated",
        "a pass per order",
        "a pass per order and option",
    )
    for name, (media, tokens), seconds in zip(names, counted, times, strict=True):
        print(
            f"  {name:<30}{media:>6} media{tokens:>8} tokens{1000 * seconds:>9.1f} ms"
            f"  ({tokens / counted[0][1]:.2f}x the tokens, {seconds / times[0]:.2f}x the time)"
        )


def main() -> None:
    """Compare the four ways for short and long prompts, and short and long options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=4, help="option orders of the question")
    parser.add_argument("--rounds", type=int, default=7, help="timed repetitions")
    settings = parser.parse_args()
    logging.getLogger().setLevel(logging.WARNING)
    encoder = PromptEncoder("assets/tiny")
    encoder.answer_with = "letter"
    policy = OmniModel.load("assets/tiny", encoder.tokenizer).eval()
    print(f"4 options in {settings.orders} orders; medians of {settings.rounds} interleaved rounds")
    for pictures, words in ((40, 1), (40, 8), (120, 1), (120, 8)):
        with tempfile.TemporaryDirectory() as root:
            questions = make_questions(Path(root), encoder, pictures, words)
            compare(policy, questions, settings.orders, settings.rounds)


if __name__ == "__main__":
    main()
