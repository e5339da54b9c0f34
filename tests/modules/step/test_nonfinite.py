"""A number that went wrong names the sample that it came from, and is answered with nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

import pytest
import torch
from torch import Tensor

from datamodules.batch import Batch, Completions, OptionScoring
from modules.grading import answer, score
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from modules.step.nonfinite import NonFiniteError
from tests.fitting import fit
from tests.modules.test_distill import distill_module, seen_as
from tests.modules.test_rlvr import fit as fit_rounds
from tests.modules.test_rlvr import rlvr_module
from tests.modules.test_sft import TARGETS, sft_module, with_targets

WRONG = [float("inf"), float("nan")]


def spoiled(batch: Batch, kind: str, value: float) -> Batch:
    """Put one wrong number into the last picture or sound of a batch."""
    batch = copy(batch)
    name = {"image": "images", "audio": "audio"}[kind]
    values: Tensor = vars(batch)[name].clone()
    values[-1, -1] = value
    setattr(batch, name, values)
    return batch


@contextmanager
def refused(policy: OmniModel, told: str) -> Iterator[None]:
    """Expect an error that leaves the weights as they were, and is not blamed on them."""
    before = {name: p.detach().clone() for name, p in policy.named_parameters()}
    with pytest.raises(NonFiniteError, match=told) as caught:
        yield
    assert caught.value.weights_good
    assert all(torch.equal(p, before[name]) for name, p in policy.named_parameters())


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize(("kind", "guilty"), [("image", "s2"), ("audio", "s1")])
def test_imitation_names_the_row_and_what_is_odd(policy, ragged, kind, guilty, value):
    batch = spoiled(with_targets(ragged, TARGETS), kind, value)
    told = rf"the loss .* in 1 of 4 samples \({guilty}: its loss is nan, .*{kind} {value}\)"
    with refused(policy, told):
        fit(sft_module(policy), [batch.select([0, 1, 2, 3])])


def test_a_gradient_names_the_rows_of_every_micro_batch_that_it_came_from(policy, ragged):
    """The gradient of what hears goes wrong, and two of four samples have something to hear."""
    batch = with_targets(ragged, TARGETS)
    heard = next(p for n, p in policy.named_parameters() if "audio_tower" in n and p.ndim > 1)
    heard.register_hook(lambda gradient: gradient * float("nan"))
    with refused(policy, r"the gradient .* in 2 of 4 samples \(s0: .*; s1: [^;]*\)"):
        fit(sft_module(policy), [batch.select([0, 2]), batch.select([3, 1])])


def test_what_goes_wrong_only_together_is_said_of_all(policy, ragged):
    """Each loss is a number; the hook spoils the sum of all four."""
    batch = with_targets(ragged, TARGETS)
    module = sft_module(policy)
    module.compute_loss = lambda one, **_: (  # type: ignore[method-assign]
        torch.tensor(float("inf") if len(one.batch) > 1 else 1.0, requires_grad=True),
        {},
    )
    with refused(policy, r"in 4 samples together, in none of them by itself \(s0"):
        fit(module, [batch])


@pytest.mark.parametrize(("kind", "guilty"), [("image", "q3"), ("audio", "q3")])
def test_reinforcement_names_the_prompt_that_cannot_be_sampled_from(
    tiny_policy, quiz, kind, guilty
):
    batch = spoiled(quiz, kind, float("inf"))
    with refused(tiny_policy, rf"in 1 of 4 prompts \({guilty}, .*{kind} inf"):
        fit_rounds(rlvr_module(tiny_policy), [[batch]])


def test_an_update_names_the_row_whose_loss_went_wrong(tiny_policy, quiz):
    """One reward of a group is changed, after it was looked at, into no number."""
    module = rlvr_module(tiny_policy)
    compute = module.compute_advantages

    def spoil(*given: object) -> list[Tensor]:
        [advantages] = compute(*given)  # type: ignore[arg-type]
        advantages[9] = float("nan")  # of the third prompt, which has numbers 8 to 11
        return [advantages]

    module.compute_advantages = spoil  # type: ignore[method-assign]
    with refused(tiny_policy, r"the loss .* in 1 of 4 samples \(q2: its loss is nan"):
        fit_rounds(module, [[quiz]])


def test_distillation_names_the_row_that_a_teacher_cannot_read(tiny_policy, quiz):
    """What the teacher is shown is no number in one prompt; the student is shown it as it is."""
    batch = seen_as(quiz, teacher=spoiled(quiz, "audio", float("nan")))
    batch.targets = [[50, 60], [70, 80], [100, 110], [120, 130]]
    module = distill_module(tiny_policy, on_policy_share=0.0)
    with refused(tiny_policy, r"the loss .* in 1 of 4 samples \(q3: its loss is nan"):
        fit(module, [batch])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", WRONG)
def test_nothing_is_answered_to_what_cannot_be_read(policy, ragged, temperature, value):
    """Neither by who takes the likeliest token, which NaN has no opinion on, nor by who draws."""
    sampling = Sampling(group_size=2, max_tokens=4, temperature=temperature)
    batch = spoiled(ragged, "audio", value)
    with refused(policy, rf"in 1 of 4 prompts \(s1, its media reach audio {value}"):
        next(answer(policy, batch, sampling, seed=0))


def test_no_option_is_scored_where_one_cannot_be_read(policy, ragged):
    branches = [[[30], [32]]] * 2
    scoring = OptionScoring(
        samples=ragged.samples[2:],
        batch=spoiled(ragged, "image", float("nan")),
        completions=Completions.forked([[40], [40]], branches, [2, 3]),
        question=[0, 1],
        options=[(0, 1), (0, 1)],
    )
    with refused(policy, r"in 1 of 4 prompts \(s2, its media reach image nan"):
        score(policy, scoring)


def test_weights_that_went_wrong_are_told_from_prompts(policy, ragged):
    with torch.no_grad():
        policy.backbone.head.weight.fill_(float("nan"))
    with pytest.raises(
        NonFiniteError, match=r"whichever prompt is read .*the weights went"
    ) as caught:
        next(answer(policy, ragged, Sampling(group_size=1, max_tokens=2, temperature=0.0), seed=0))
    assert not caught.value.weights_good
