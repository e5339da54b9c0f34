"""On-policy distillation: who completes, who is compared with whom, and what is summed up."""

from copy import copy

import pytest
import torch

from configs.schema import DistillConfig, OptimConfig
from datamodules.batch import Batch, View
from modules.distill import DistillModule
from modules.policy.omni import OmniModel
from modules.policy.reference import Reference
from modules.step.policy_module import FitSettings
from tests.fitting import fit, gradients, length, require_same

TARGETS = [[50, 60], [70, 80, 90], [100], [110, 120]]


def distill_module(
    policy: OmniModel, teacher: Reference | None = None, **settings: object
) -> DistillModule:
    distill = DistillConfig(**{"max_completion_tokens": 6} | settings)  # type: ignore[arg-type]
    return DistillModule(
        policy,
        FitSettings(optim=OptimConfig(lr=1e-3), max_steps=100, seed=5),
        distill,
        teacher=teacher or policy.reference(),
    )


def other_than(policy: OmniModel) -> Reference:
    """A teacher that thinks otherwise."""
    teacher = policy.reference()
    assert isinstance(teacher, OmniModel)
    with torch.no_grad():
        teacher.backbone.head.weight.mul_(1.5)
    return teacher


def seen_as(quiz: Batch, **views: Batch) -> Batch:
    batch = copy(quiz)
    names: dict[str, View] = {"student": "student", "teacher": "teacher"}
    batch.views = {names[name]: view for name, view in views.items()}
    return batch


KINDS = ["reverse_kl", "forward_kl", "jsd"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_teacher_who_thinks_alike_teaches_nothing(tiny_policy, quiz, kind):
    module = distill_module(tiny_policy, divergence=kind)
    assert length(gradients(module, [quiz])) < 1e-5
    assert module.step_metrics["train/divergence"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_has_the_same_gradient_however_it_is_cut(tiny_policy, quiz, kind):
    teacher = other_than(tiny_policy)
    whole = gradients(distill_module(tiny_policy, teacher, divergence=kind), [quiz])
    cut = [quiz.select([3, 0, 1]), quiz.select([2])]
    parts = gradients(distill_module(tiny_policy, teacher, divergence=kind), cut)
    require_same(parts, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_the_student_comes_closer_to_the_teacher(tiny_policy, quiz, kind):
    """Measured in the same places before and after."""
    quiz = copy(quiz)
    quiz.targets = TARGETS
    teacher = other_than(tiny_policy)
    module = distill_module(tiny_policy, teacher, divergence=kind, on_policy_share=0)
    completed = module.sample_completions(quiz)
    before = module.token_divergence(completed).sum().item()
    fit(module, [quiz], steps=20)
    assert 0 < module.token_divergence(completed).sum().item() < before / 2


def test_the_data_complete_what_the_student_does_not(tiny_policy, quiz):
    quiz = copy(quiz)
    quiz.targets = TARGETS
    taken = distill_module(tiny_policy, on_policy_share=0).sample_completions(quiz).completions
    assert [row[:n].tolist() for row, n in zip(taken.token_ids, taken.lens, strict=True)] == TARGETS


def test_long_completions_of_the_data_are_refused_by_name(tiny_policy, quiz):
    quiz = copy(quiz)
    quiz.targets = [[5], [5] * 7, [5], [5]]
    module = distill_module(tiny_policy, on_policy_share=0)
    with pytest.raises(ValueError, match=r"of q1 has 7 tokens.*distill.max_completion_tokens=6"):
        module.sample_completions(quiz)


def test_whose_turn_it_is_does_not_depend_on_the_cut(tiny_policy, quiz):
    module = distill_module(tiny_policy, on_policy_share=0.5)
    turns = []
    for step in range(20):
        batch = copy(quiz)
        batch.step = step
        asked = module.on_policy_prompts(batch)
        alone = [place for place in range(4) if module.on_policy_prompts(batch.select([place]))]
        assert alone == asked
        turns += asked
    assert 25 < len(turns) < 55  # of 80, each with probability one half


def test_a_withheld_recording_is_what_is_learned(tiny_policy, quiz):
    """Same weights, but the student sees nothing: only prompts with media differ."""
    blind = quiz.views["blind"]
    module = distill_module(tiny_policy)
    for place in range(len(quiz)):
        one = seen_as(quiz.select([place]), student=blind.select([place]))
        apart = module.token_divergence(module.sample_completions(one)).sum()
        assert (apart > 1e-4) == bool(quiz.media[place]), quiz.samples[place].id


def test_student_and_teacher_can_change_places(tiny_policy, quiz):
    """What is compared is the same pair, seen from the other side: KL turned round."""
    blind = quiz.views["blind"]
    quiz = copy(quiz)
    quiz.targets = TARGETS
    forward = distill_module(tiny_policy, on_policy_share=0, divergence="forward_kl")
    reverse = distill_module(tiny_policy, on_policy_share=0, divergence="reverse_kl")
    one, other = seen_as(quiz, student=blind), seen_as(quiz, teacher=blind)
    torch.testing.assert_close(
        forward.token_divergence(forward.sample_completions(one)),
        reverse.token_divergence(reverse.sample_completions(other)),
        atol=1e-5,
        rtol=1e-4,
    )


def test_what_is_counted_is_what_the_student_reads(tiny_policy, quiz):
    quiz = copy(quiz)
    quiz.targets = TARGETS
    blind = quiz.views["blind"]
    module = distill_module(tiny_policy, on_policy_share=0)
    gradients(module, [seen_as(quiz, student=blind)])
    assert module.tokens_seen == sum(blind.prompt_lens) + 8


def test_checkpoints_leave_the_teacher_out(tiny_policy):
    module = distill_module(tiny_policy)
    assert {name.split(".")[0] for name in module.state_dict()} == {"policy"}
