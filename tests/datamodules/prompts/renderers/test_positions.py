import torch

from datamodules.prompts.renderers.positions import Block, rope_positions, step_times, visual_block

STILL = torch.zeros(1, dtype=torch.long)


def test_a_picture_spreads_over_height_and_width_and_text_goes_on_from_its_maximum():
    """Two words, a picture of 1 x 2 x 3 tokens (id 9), one word: the picture starts at 2 and its
    largest number is 2 + 2 along the width, so the last word is 5."""
    block = Block(numbers=visual_block(torch.tensor([1, 2, 3]), STILL))
    positions = rope_positions([5, 6, 9, 9, 9, 9, 9, 9, 7], [block], visual_ids=[9])
    assert positions.tolist() == [
        [0, 1, 2, 2, 2, 2, 2, 2, 5],
        [0, 1, 2, 2, 2, 3, 3, 3, 5],
        [0, 1, 2, 3, 4, 2, 3, 4, 5],
    ]


def test_time_advances_by_the_stride():
    """Three steps of one token each, 12.5 positions apart, rounded down."""
    times = step_times(3, 0.5, 25).long()
    assert visual_block(torch.tensor([3, 1, 1]), times)[0].tolist() == [0, 12, 25]


def test_steps_are_multiplied_in_the_order_and_precision_of_models():
    """At 25 frames a second, two to a step: 19 * 0.08 * 25 is 38 in float32, but 37.999996 where
    the 25 comes first or the 0.08 is more precise than that."""
    products = step_times(400, 2 / 25, 25)
    expected = torch.arange(400) * torch.full((400,), 0.08) * 25
    assert torch.equal(products, expected)
    assert not torch.equal(products.long(), (torch.arange(400) * (0.08 * 25)).long())


def test_neighboring_pictures_keep_their_own_blocks():
    one = Block(numbers=visual_block(torch.tensor([1, 1, 2]), STILL))
    positions = rope_positions([9, 9, 9, 9], [one, one], visual_ids=[9])
    assert positions[2].tolist() == [0, 1, 2, 3]


def test_a_block_may_begin_before_its_first_picture_and_end_on_a_smaller_number():
    """A word, then a block of six tokens whose second is the first of a picture: it begins at 1.
    Its last two tokens reach 1 + 3, so that the last word is 5, though a 7 came before."""
    block = Block(numbers=torch.tensor([[0, 1, 6, 2, 2, 3]] * 3), ahead=1, tail=2)
    positions = rope_positions([5, 8, 9, 9, 7, 7, 7, 4], [block], visual_ids=[9])
    assert positions[0].tolist() == [0, 1, 2, 7, 3, 3, 4, 5]


def test_without_pictures_positions_count_up():
    assert rope_positions([4, 2, 4], [], visual_ids=[9]).tolist() == [[0, 1, 2]] * 3
