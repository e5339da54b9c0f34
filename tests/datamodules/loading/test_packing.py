"""However the prompts of a step are cut, each is all there, within the budget, and seen by none."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.batch import Batch, Completions
from datamodules.loading.packing import pack_batches
from datamodules.media.files import Decoded
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder
from modules.policy.omni import OmniModel
from tests.conftest import clip, film, make_prompt, make_sample, picture
from tests.datamodules.test_batch import assert_same
from tests.modules.policy.test_omni import distance, gradients


def text_only(lens: list[int], *, targets: list[int] | None = None) -> Batch:
    """Prompts of so many tokens, all of them another number, named by their place."""
    ids = torch.arange(sum(lens))
    return Batch(
        samples=[make_sample(f"s{n}") for n in range(len(lens))],
        step=7,
        prompt_ids=ids,
        prompt_lens=lens,
        positions=ids.expand(3, -1),
        media=[()] * len(lens),
        targets=targets and [[n] * count for n, count in enumerate(targets)],
    )


def names(packs: list[Batch]) -> list[list[str]]:
    return [[sample.id for sample in pack.samples] for pack in packs]


def test_few_packs_by_hand():
    """By falling size 6, 5, 4, 3, 2 into packs of 10: 6 + 4 and 5 + 3 + 2, two full ones; the even
    cut, 6 + 3 + 2 and 5 + 4, would not fit. Prompts keep their order within a pack."""
    assert names(pack_batches([text_only([2, 4, 6, 3, 5])], budget=10)) == [
        ["s1", "s2"],
        ["s0", "s3", "s4"],
    ]


def test_even_packs_by_hand():
    """First fit makes 5 + 4 and 2 + 1 of packs of 9, but two packs may be 5 + 1 and 4 + 2."""
    assert names(pack_batches([text_only([2, 5, 4, 1])], budget=9)) == [["s1", "s3"], ["s0", "s2"]]


def test_targets_count_as_tokens():
    """2 + 5 and 3 + 1 tokens do not fit into 10 together, nor without their targets into 4."""
    assert len(pack_batches([text_only([2, 3], targets=[5, 1])], budget=10)) == 2
    assert len(pack_batches([text_only([2, 3], targets=[5, 1])], budget=11)) == 1
    assert len(pack_batches([text_only([2, 3])], budget=5)) == 1


def test_a_prompt_over_the_budget_is_named():
    """Of 4 and 7 tokens with their targets; it is never cut."""
    batches = [text_only([3], targets=[1]), text_only([2, 5], targets=[1, 2])]
    told = r"s1 has 7 tokens with its target.*sft\.pack_tokens=6.*raise sft\.pack_tokens"
    with pytest.raises(ValueError, match=told):
        pack_batches(batches, budget=6)
    assert len(pack_batches(batches, budget=7)) == 2


@pytest.fixture(scope="module")
def mixed(encoder: PromptEncoder) -> Batch:
    """Eight prompts: text thrice, sounds, pictures, films, and all at once; with targets and views.

    Sounds and pictures come twice, and of different sizes.
    """
    rng = np.random.default_rng(5)
    media: list[list[Decoded]] = [
        [],
        [clip(rng, 0.4)],
        [film(rng)],
        [picture(rng), picture(rng)],
        [],
        [picture(rng), film(rng), clip(rng, 0.9)],
        [clip(rng, 1.3)],
        [],
    ]
    samples = [make_sample(f"s{n}", "Which digit? " * (n % 3 + 1)) for n in range(len(media))]
    prompts = [make_prompt(encoder, *pair) for pair in zip(samples, media, strict=True)]
    blind = [make_prompt(encoder, sample, []) for sample in samples]
    targets = [list(range(30, 32 + n % 4)) for n in range(len(media))]
    batch = collate(samples, prompts, step=2, targets=targets)
    return replace(batch, views={"teacher": collate(samples, blind, step=2)})


def tokens(batch: Batch) -> list[int]:
    """Count those of each prompt with its target."""
    assert batch.targets is not None
    return [p + len(t) for p, t in zip(batch.prompt_lens, batch.targets, strict=True)]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_budget_and_the_cut_all_prompts_are_there(mixed, seed):
    """Cut anywhere, with budgets from the longest prompt to more than all; and the same again."""
    draw = random.Random(seed)
    order = draw.sample(range(8), 8)
    cuts = [0, *sorted(draw.sample(range(1, 8), draw.randint(0, 5))), 8]
    batches = [mixed.select(order[start:end]) for start, end in pairwise(cuts)]
    sizes = tokens(mixed)
    budget = draw.randint(max(sizes), sum(sizes) + 5)
    packs = pack_batches(batches, budget=budget)
    loads = [sum(tokens(pack)) for pack in packs]
    assert max(loads) <= budget
    assert len(packs) <= np.ceil(11 / 9 * -(-sum(sizes) // budget) + 6 / 9)
    together = Batch.concat(packs)
    found = [sample.id for sample in together.samples]
    assert_same(together.select([found.index(f"s{n}") for n in range(8)]), mixed)
    for pack, again in zip(packs, pack_batches(batches, budget=budget), strict=True):
        assert_same(pack, again)


def test_positions_of_every_prompt_start_at_nought(mixed):
    """Time, height and width alike, wherever it stands in a pack."""
    for pack in pack_batches([mixed], budget=max(tokens(mixed)) + 40):
        for positions in pack.positions.split(pack.prompt_lens, dim=1):
            assert positions[:, 0].tolist() == [0, 0, 0] and int(positions.min()) == 0


def logprobs(policy: OmniModel, batch: Batch) -> list[Tensor]:
    """Score the target of each prompt."""
    assert batch.targets is not None
    completions = Completions.of(batch.targets, range(len(batch)))
    with torch.no_grad():
        scores = policy.logprobs(batch, completions)
    return [row[:length] for row, length in zip(scores, completions.lens, strict=True)]


@pytest.mark.parametrize("attention", ["split", "fused", "dense"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-7), (torch.float32, 1e-5)])
def test_packed_samples_score_as_each_does_alone(policy, mixed, dtype, close, attention):
    """Sounds, pictures, films and text in one row, and in rows of two or three."""
    policy.eval().to(dtype)
    policy.attention = attention
    alone = {n: logprobs(policy, mixed.select([n]))[0] for n in range(8)}
    for budget in (max(tokens(mixed)), sum(tokens(mixed))):
        for pack in pack_batches([mixed], budget=budget):
            for sample, found in zip(pack.samples, logprobs(policy, pack), strict=True):
                expected = alone[int(sample.id[1:])]
                torch.testing.assert_close(found, expected, rtol=close, atol=close)


def test_packs_together_have_the_gradient_of_one_batch(policy, mixed):
    """Weighed alike by what all of them have to imitate, towers included."""
    policy.double()
    found = []
    for batches in ([mixed], pack_batches([mixed], budget=max(tokens(mixed)))):
        loss = sum(
            policy.logprobs(batch, Completions.of(batch.targets, range(len(batch)))).sum()
            for batch in batches
        )
        found.append(gradients(policy, loss))
    assert len(found[0]) > 100 and distance(found[1], found[0]) < 1e-7


def other_picture(batch: Batch) -> Batch:
    """Change the first picture, which is of prompt 3."""
    images = batch.images.clone()
    images[:16] = -images[:16]
    return replace(batch, images=images)


def other_sound(batch: Batch) -> Batch:
    """Change the first clip, of 40 frames, which is of prompt 1."""
    audio = batch.audio.clone()
    audio[:, :40] = audio[:, :40].flip(1)
    return replace(batch, audio=audio)


def other_film(batch: Batch) -> Batch:
    """Change the first film, which is of prompt 2."""
    videos = batch.videos.clone()
    count = int(batch.video_grid[0].prod())
    videos[:count] = videos[:count].flip(0)
    return replace(batch, videos=videos)


def other_words(batch: Batch) -> Batch:
    """Change the third token, and a token of the target, of prompt 4."""
    ids = batch.prompt_ids.clone()
    ids[sum(batch.prompt_lens[:4]) + 2] += 1
    targets = [[99, *t[1:]] if n == 4 else t for n, t in enumerate(batch.targets)]
    return replace(batch, prompt_ids=ids, targets=targets)


@pytest.mark.parametrize(
    ("changed", "number"),
    [(other_sound, 1), (other_film, 2), (other_picture, 3), (other_words, 4)],
)
@pytest.mark.parametrize("attention", ["split", "fused", "dense"])
def test_no_sample_sees_another(
    policy, mixed, changed: Callable[[Batch], Batch], number: int, attention: str
):
    """What is changed in one moves its own scores, and those of no other by one bit."""
    policy.eval()
    policy.attention = attention
    before, after = logprobs(policy, mixed), logprobs(policy, changed(mixed))
    for n, (one, other) in enumerate(zip(before, after, strict=True)):
        assert one.equal(other) == (n != number), f"s{n}"
