import pytest
import torch

from modules.kernels.layout import GroupLayout


def two_prompts() -> GroupLayout:
    """A row of nine tokens: prompts 0-1 and 2, completions 3-4 (of prompt 0), 5-7 and 8 (of 1)."""
    return GroupLayout.build([2, 1], [2, 3, 1], [0, 1, 1])


def forked() -> GroupLayout:
    """A row of eleven: prompts 0-1 and 2; trunk 3-4 with branches 5 and 6-7 of prompt 0; no trunk,
    branches 8-9 and 10 of prompt 1."""
    branch = torch.tensor([[0, 0, 1, 2, 2], [1, 1, 2, 0, 0]])
    return GroupLayout.build([2, 1], [5, 3], [0, 1], branch=branch)


def test_completion_tokens_are_predicted_by_the_token_before_them():
    """First tokens by the end of their prompt: 1 and 2; the others by their left neighbour."""
    assert two_prompts().predictor.tolist() == [1, 3, 2, 5, 6, 2]


def test_indices_point_at_the_packed_row():
    """Padding points at places of the first prompt or completion, neighbors at others."""
    layout = two_prompts()
    assert layout.prompt_index.tolist() == [[0, 1], [2, 1]]
    assert layout.completion_index.tolist() == [[3, 4, 3], [5, 6, 7], [8, 4, 3]]
    assert layout.prompt_places.tolist() == [0, 1, 2]
    assert layout.completion_places.tolist() == [0, 1, 3, 4, 5, 6]


def test_the_dense_mask_is_a_tree():
    """Each line: which of the nine tokens the token sees."""
    seen = [
        "".join("x" if value else "." for value in row) for row in two_prompts().dense_mask[0, 0]
    ]
    assert seen == [
        "x........",
        "xx.......",
        "..x......",
        "xx.x.....",
        "xx.xx....",
        "..x..x...",
        "..x..xx..",
        "..x..xxx.",
        "..x.....x",
    ]


def test_branches_go_on_from_the_end_of_their_trunk():
    """The second branch of 0 after token 4; both branches of 1 after its prompt, token 2."""
    assert forked().predictor.tolist() == [1, 3, 4, 4, 6, 2, 8, 2]
    assert forked().depth[0].tolist() == [0, 1, 2, 2, 3]
    assert forked().depth[1, :3].tolist() == [0, 1, 0]


def test_branches_do_not_see_each_other():
    seen = ["".join("x" if value else "." for value in row) for row in forked().dense_mask[0, 0]]
    assert seen == [
        "x..........",
        "xx.........",
        "..x........",
        "xx.x.......",
        "xx.xx......",
        "xx.xxx.....",
        "xx.xx.x....",
        "xx.xx.xx...",
        "..x.....x..",
        "..x.....xx.",
        "..x.......x",
    ]


@pytest.mark.parametrize("layout", [two_prompts(), forked()], ids=["plain", "forked"])
def test_the_completion_mask_agrees_with_the_dense_mask(layout):
    for number, owner in enumerate(layout.owner.tolist()):
        own = layout.completion_index[number][layout.completion_valid[number]]
        keys = torch.cat([layout.prompt_index[owner][layout.prompt_valid[owner]], own])
        dense = layout.dense_mask[0, 0][own][:, keys]
        valid = torch.cat([layout.prompt_valid[owner], layout.completion_valid[number]])
        assert torch.equal(layout.completion_mask[number, 0, : len(own)][:, valid], dense)


def test_regular_groups_are_recognized_and_ragged_ones_too():
    assert GroupLayout.build([4, 4], [1] * 6, [0, 0, 0, 1, 1, 1]).group_size == 3
    assert two_prompts().group_size is None


def test_expanding_regular_groups_equals_indexing():
    layout = GroupLayout.build([4, 2], [1] * 4, [0, 0, 1, 1])
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.equal(layout.to_completions(values), values[layout.owner])


def test_pad_puts_packed_values_back():
    padded = two_prompts().pad(torch.tensor([1.0, 2, 3, 4, 5, 6]))
    assert padded.tolist() == [[1, 2, 0], [3, 4, 5], [6, 0, 0]]


def test_empty_completions_are_refused():
    with pytest.raises(AssertionError, match="has tokens to attend"):
        GroupLayout.build([3], [2, 0], [0, 0])


def test_completions_without_owner_are_refused():
    with pytest.raises(AssertionError, match="each completion has one prompt"):
        GroupLayout.build([3], [2, 1], [0])
