from dataclasses import replace

import pytest
import torch

from configs.rewards import PerceptionConfig
from modules.kernels.layout import GroupLayout, look_up
from tests.fitting import gradients
from tests.modules.test_distill import KINDS, distill_module, other_than
from tests.modules.test_rlvr import rlvr_module
from tests.modules.test_sft import TARGETS, sft_module, with_targets
from tests.one_order import OneOrder


def gradient(take, index: list[int]) -> torch.Tensor:
    rows = torch.arange(6.0).reshape(3, 2).requires_grad_()
    weights = torch.tensor([[1.0, 10.0]]) * torch.arange(1.0, len(index) + 1).unsqueeze(1)
    (take(rows, torch.tensor(index)) * weights).sum().backward()
    assert rows.grad is not None
    return rows.grad


def test_rows_taken_several_times_add_up_in_one_order():
    """Row 1 is taken first and third: 1 + 3; row 2 second: 2; row 0 never."""
    with OneOrder():
        found = gradient(look_up, [1, 2, 1])
    assert found.tolist() == [[0.0, 0.0], [4.0, 40.0], [2.0, 20.0]]


def test_indexing_adds_up_in_any_order_and_is_told():
    with OneOrder(), pytest.raises(AssertionError, match="no order"):
        gradient(lambda rows, index: rows[index], [1, 2, 1])
    with OneOrder(), pytest.raises(AssertionError, match="no order"):
        torch.zeros(2).index_add(0, torch.tensor([1, 1]), torch.ones(2))


def test_indexing_rows_once_is_let_through():
    with OneOrder():
        assert gradient(lambda rows, index: rows[index], [2, 0]).tolist() == [
            [2.0, 20.0],
            [0.0, 0.0],
            [1.0, 10.0],
        ]


def test_ragged_groups_give_their_gradient_in_one_order():
    """Prompt 0 has one completion, prompt 1 two: gradients of 1 and 2."""
    layout = GroupLayout.build([2, 1], [2, 3, 1], [0, 1, 1])
    prompts = torch.ones(2, 1, 1, 2, requires_grad=True)
    with OneOrder():
        layout.to_completions(prompts).sum().backward()
    assert prompts.grad is not None
    assert prompts.grad.flatten().tolist() == [1.0, 1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "settings",
    [{}, {"perception": PerceptionConfig(kl_coef=0.1, entropy_coef=0.1, token_coef=0.5)}],
    ids=["default", "perception"],
)
def test_no_gradient_of_reinforcement_is_left_to_threads(tiny_policy, quiz, settings):
    seen = replace(quiz, views={"blind": quiz.views["blind"]})
    with OneOrder():
        assert gradients(rlvr_module(tiny_policy, **settings), [seen])


@pytest.mark.parametrize("kind", KINDS)
def test_no_gradient_of_distillation_is_left_to_threads(tiny_policy, quiz, kind):
    with OneOrder():
        assert gradients(
            distill_module(tiny_policy, other_than(tiny_policy), divergence=kind), [quiz]
        )


def test_no_gradient_of_imitation_is_left_to_threads(policy, ragged):
    with OneOrder():
        assert gradients(sft_module(policy), [with_targets(ragged, TARGETS)])
