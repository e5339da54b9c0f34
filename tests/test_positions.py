import torch

from datamodules.positions import rope_positions, visual_block


def test_a_picture_spreads_over_height_and_width_and_text_goes_on_from_its_maximum():
    """Two words, a picture of 1 x 2 x 3 tokens (id 9), one word: the picture starts at 2 and its
    largest number is 2 + 2 along the width, so the last word is 5."""
    block = visual_block(torch.tensor([1, 2, 3]), 0.0)
    positions = rope_positions([5, 6, 9, 9, 9, 9, 9, 9, 7], [block], visual_ids=[9])
    assert positions.tolist() == [
        [0, 1, 2, 2, 2, 2, 2, 2, 5],
        [0, 1, 2, 2, 2, 3, 3, 3, 5],
        [0, 1, 2, 3, 4, 2, 3, 4, 5],
    ]


def test_time_advances_by_the_stride():
    """Three steps of one token each, 12.5 positions apart, rounded down."""
    assert visual_block(torch.tensor([3, 1, 1]), 12.5)[0].tolist() == [0, 12, 25]


def test_neighboring_pictures_keep_their_own_blocks():
    one = visual_block(torch.tensor([1, 1, 2]), 0.0)
    positions = rope_positions([9, 9, 9, 9], [one, one], visual_ids=[9])
    assert positions[2].tolist() == [0, 1, 2, 3]
