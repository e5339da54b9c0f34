"""How long a training is, worked out by hand."""

from configs.load import load_config
from training.preview.budget import StepBudget, step_budget, step_notes

EVEN = ["trainer.batch_size=3", "trainer.accumulate_grad_batches=2", "trainer.devices=5"]
SIZES = [{"prompt tokens": 10.0, "learned tokens": 2.0}, {"prompt tokens": 20.0}]


def config(stage: str, *words: str):
    return load_config([f"stage={stage}", *words], ("sft", "rlvr"))


def test_a_step_reads_its_micro_batches_in_all_processes():
    """3 * 2 * 5 questions; 7 steps read 210, and the 61 of an epoch take three."""
    budget = step_budget(config("sft", *EVEN, "trainer.max_steps=7"))
    assert budget == StepBudget(per_list=30, updates=1, lists=7)
    assert (budget.questions, budget.epoch(61)) == (210, 3)


def test_a_round_feeds_several_steps():
    """4 minibatches of 30, each used twice: 16 steps are 2 rounds of 120."""
    words = ["rlvr.minibatches=4", "rlvr.num_iterations=2", "trainer.max_steps=16"]
    every = ["trainer.checkpoint_every=8", "trainer.log_every_n_steps=8"]
    more = ["rlvr.log_rollouts_every=8"]
    budget = step_budget(config("rlvr", *EVEN, *words, *every, *more))
    assert budget == StepBudget(per_list=120, updates=8, lists=2)
    assert (budget.questions, budget.epoch(121)) == (240, 16)


def test_tokens_are_estimated_by_the_mean_of_what_was_measured():
    """A mean of 15 and 1 tokens in 210 questions; 4,800 of them are 10 steps of 30 times 16."""
    words = [*EVEN, "trainer.max_steps=7", "trainer.max_tokens=4800"]
    assert [*step_notes(config("sft", *words), 84, SIZES)] == [
        "trainer.max_steps=7: 7 steps of 30 questions, 210 in all: 2.50 epochs of 84",
        "one epoch: trainer.max_steps=3",
        "about 3,150 tokens of prompts and 210 learned, by the mean of 2 questions",
        "trainer.max_tokens=4,800 ends it after about 10 steps",
    ]


def test_without_questions_there_is_nothing_to_estimate():
    assert [*step_notes(config("sft"), 0, [])] == []
