"""Prompts are taken out of a batch and put together again, with all that belongs to them."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.batch import Batch, Completions
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder
from tests.conftest import clip, film, make_prompt, make_sample, picture

WHOLE = range(5)


@pytest.fixture(scope="module")
def whole(encoder: PromptEncoder) -> Batch:
    """Two sounds; nothing; film, picture and sound; two pictures; a film. Blind, only pictures."""
    rng = np.random.default_rng(1)
    media = [
        [clip(rng, 0.3), clip(rng, 0.9)],
        [],
        [picture(rng), film(rng), clip(rng, 0.7)],
        [picture(rng), picture(rng)],
        [film(rng)],
    ]
    samples = [make_sample(f"s{number}", "Which digit?" * (number + 1)) for number in WHOLE]
    shown = [make_prompt(encoder, *pair) for pair in zip(samples, media, strict=True)]
    left = [[item for item in items if item.modality == "image"] for items in media]
    blind = [make_prompt(encoder, *pair) for pair in zip(samples, left, strict=True)]
    targets = [[5, 6], [7], [8, 9, 10], [11], [12, 13]]
    views = {"blind": collate(samples, blind, step=3)}
    return replace(collate(samples, shown, step=3, targets=targets), views=views)


def assert_same(one: Batch, other: Batch) -> None:
    """Bit by bit, in every field."""
    assert one.views.keys() == other.views.keys()
    for name, value in vars(one).items():
        match value, vars(other)[name]:
            case Tensor(), Tensor() as found:
                assert value.dtype == found.dtype and torch.equal(value, found), name
            case dict(), dict() as views:
                for view in views:
                    assert_same(value[view], views[view])
            case expected, found:
                assert expected == found, name


def test_media_are_told_by_prompt(whole):
    """A film with sound is two features, and kinds stand in the order of the alphabet."""
    assert whole.media == [
        ("audio", "audio"),
        (),
        ("audio", "audio", "image", "video"),
        ("image", "image"),
        ("audio", "video"),
    ]
    assert whole.views["blind"].media == [(), (), ("image",), ("image", "image"), ()]


def test_single_prompts_together_are_the_batch(whole):
    assert_same(Batch.concat([whole.select([number]) for number in WHOLE]), whole)


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_survives_being_shuffled_and_cut(whole, seed):
    """Taken in any order, cut anywhere, put together and taken back in the old order."""
    draw = random.Random(seed)
    order = draw.sample(WHOLE, 5)
    cuts = [0, *sorted(draw.sample(range(1, 5), draw.randint(0, 4))), 5]
    parts = [whole.select(order[start:end]) for start, end in pairwise(cuts)]
    together = Batch.concat(parts)
    assert_same(together, whole.select(order))
    assert_same(together.select([order.index(number) for number in WHOLE]), whole)


def test_a_prompt_takes_its_own_media_with_it(whole):
    """Clips of 30 and 90 frames belong to s0, then the film's 50 and 70 to s2, and 50 to s4."""
    assert whole.audio_lens.tolist() == [30, 90, 50, 70, 50]
    some = whole.select([2, 0])
    assert [sample.id for sample in some.samples] == ["s2", "s0"]
    assert some.audio_lens.tolist() == [50, 70, 30, 90]
    assert torch.equal(some.audio[:, 120:], whole.audio[:, :120])
    assert torch.equal(some.images, whole.images[: len(some.images)])
    assert some.targets == [[8, 9, 10], [5, 6]]
    assert some.views["blind"].image_grid.shape == (1, 3)


def test_a_prompt_may_be_taken_twice(whole):
    twice = whole.select([4, 4])
    assert_same(twice, Batch.concat([whole.select([4])] * 2))


def test_what_no_prompt_shows_is_absent(whole):
    silent = whole.select([3, 1])
    assert (silent.audio, silent.audio_lens, silent.videos, silent.video_grid) == (None,) * 4
    text = whole.select([1])
    assert text.images is None and text.image_grid is None and text.media == [()]


def test_no_more_is_copied_than_is_taken(whole):
    """Else a batch of one prompt would keep the media of all in memory."""
    some = whole.select([2])
    for value in (some.audio, some.images, some.videos, some.prompt_ids, some.positions):
        assert value.untyped_storage().nbytes() == value.numel() * value.element_size()
    assert some.samples[0] is whole.samples[2]
    assert some.views["blind"].samples[0] is whole.views["blind"].samples[2]


def test_draws_go_with_their_prompts(whole):
    drawn = whole.uniforms(seed=1, group_size=2, length=3).view(5, 2, 3)
    some = whole.select([3, 0]).uniforms(seed=1, group_size=2, length=3).view(2, 2, 3)
    assert torch.equal(some, drawn[[3, 0]])


def test_views_move_with_their_batch(whole):
    moved = whole.to("meta")
    assert moved.views["blind"].prompt_ids.is_meta and moved.images.is_meta
    assert not whole.views["blind"].prompt_ids.is_meta


def test_a_view_tells_which_prompts_it_changes(whole):
    """Blind: those that have more than pictures, and what hides nothing changes nothing."""
    assert whole.changed("blind") == [0, 2, 4]
    same = replace(whole, views={"shuffled": replace(whole, views={})})
    assert same.changed("shuffled") == []


def test_a_view_may_change_values_only(whole):
    """The second picture of prompt 3, of 16 patches like all others, and a word of prompt 1."""
    images, ids = whole.images.clone(), whole.prompt_ids.clone()
    images[32:] += 1
    ids[whole.prompt_lens[0] + 2] += 1
    other = replace(whole, images=images, prompt_ids=ids, views={})
    assert replace(whole, views={"shuffled": other}).changed("shuffled") == [1, 3]


def test_batches_of_different_steps_or_views_are_not_mixed(whole):
    one, other = whole.select([0]), whole.select([1])
    with pytest.raises(AssertionError, match="one step"):
        Batch.concat([one, replace(other, step=4)])
    with pytest.raises(AssertionError):
        Batch.concat([one, replace(other, views={})])
    with pytest.raises(AssertionError, match="imitated"):
        Batch.concat([one, replace(other, targets=None)])


@pytest.mark.parametrize("prompts", [[2], [4, 0, 3], [1, 2]])
def test_a_selected_batch_is_encoded_as_before(policy, whole, prompts):
    rows = policy.embed_prompts(whole).split(whole.prompt_lens)
    expected = torch.cat([rows[prompt] for prompt in prompts])
    torch.testing.assert_close(
        policy.embed_prompts(whole.select(prompts)), expected, rtol=0, atol=1e-5
    )


def test_selected_prompts_and_completions_score_as_before(policy, ragged, continuations):
    """Of prompts 3 and 1, the completions 9-11 and 3-5; the longest has 8 tokens and not 9."""
    whole = policy.logprobs(ragged, continuations)
    rows = [9, 10, 11, 3, 4, 5]
    some = policy.logprobs(ragged.select([3, 1]), continuations.select(rows))
    assert some.shape == (6, 8)
    torch.testing.assert_close(some, whole[rows, :8], rtol=0, atol=2e-5)


def forked() -> Completions:
    """Of prompt 0 a trunk of two with branches of one and two; of 1 no trunk, branches of two and
    one; of 2 one token after no fork at all."""
    return Completions.forked([[1, 2], [], [9]], [[[3], [4, 5]], [[6, 7], [8]], []], [0, 1, 2])


def as_lists(completions: Completions) -> tuple[Sequence[object], ...]:
    branch = completions.branch
    return (
        completions.token_ids.tolist(),
        completions.lens,
        completions.owner,
        [] if branch is None else branch.tolist(),
    )


def test_selected_completions_are_as_wide_as_the_longest():
    """Rows 2 and 1 have 1 and 3 tokens, and their prompts become 0 and 1."""
    assert as_lists(forked().select([2, 1])) == (
        [[9, 0, 0], [6, 7, 8]],
        [1, 3],
        [0, 1],
        [[0, 0, 0], [1, 1, 2]],
    )


def test_single_completions_together_are_all():
    rows = [forked().select([number]) for number in range(3)]
    assert as_lists(Completions.concat(rows)) == as_lists(forked())


def test_completions_of_several_prompts_are_put_together():
    """The first has three prompts, though none of its two rows is of the second."""
    one = Completions.of([[5, 6, 7], [8]], [0, 2])
    other = Completions.of([[1], [2, 3], [4]], [0, 0, 1])
    both = Completions.concat([one, other])
    assert both.token_ids.tolist() == [[5, 6, 7], [8, 0, 0], [1, 0, 0], [2, 3, 0], [4, 0, 0]]
    assert (both.lens, both.owner, both.branch) == ([3, 1, 1, 2, 1], [0, 2, 3, 3, 4], None)


def test_completions_without_forks_join_those_with():
    both = Completions.concat([Completions.of([[1]], [0]), forked().select([1])])
    assert as_lists(both)[2:] == ([0, 1], [[0, 0, 0], [1, 1, 2]])
