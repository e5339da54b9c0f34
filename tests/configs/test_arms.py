"""Tests of arms as words: how they are written, named, laid over other settings, and refused."""

from pathlib import Path

import pytest

from configs.arms import read_arms
from configs.command import asks_recipe
from configs.recipe_command import Command, read_command
from recipes.arms import check_arms, comparison
from recipes.steps import Step, resolve

STAGE = ("stage=rlvr", "trainer.max_steps=8")


def steps(command: Command, arm: str) -> dict[str, Step]:
    found = next(each for each in command.arms if each.name == arm)
    return {step.name: step for step in resolve(command, Path("out"), found)}


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("[objective=gspo,objective=dr_grpo]", ["gspo", "dr_grpo"]),
        ("[[objective=gspo,optim.lr=1e-6],[]]", ["gspo-lr=1e-6", "base"]),
        ("[base, rlvr:objective=gspo]", ["base", "gspo"]),
        ("{mine: [objective=gspo, optim.lr=1e-6], base: []}", ["mine", "base"]),
        ("{mine: optim.lr=1e-6, none: }", ["mine", "none"]),
        ("[optim.lr=1,rlvr:optim.lr=1]", ["optim.lr=1", "rlvr-optim.lr=1"]),
        ("['data.train=a/b, c',model.path=~/x]", ["train=a_b_c", "path=_x"]),
    ],
)
def test_arms_are_named_by_what_they_change_or_as_they_are_called(text, labels):
    assert [*read_arms(text)] == labels


def test_a_word_with_a_comma_of_its_own_stands_in_quotes():
    found = read_arms("{a: ['probe.conditions=[full,no_audio]', optim.lr=2]}")
    assert found == {"a": {"probe.conditions": "[full,no_audio]", "optim.lr": "2"}}


@pytest.mark.parametrize(
    "word", ["arms=[base]", "--seeds=[1]", "controls=all", "recipe=vidground", "++arms=[base]"]
)
def test_arms_and_seeds_of_a_stage_are_a_recipe(word):
    assert asks_recipe(["stage=rlvr", word])
    assert not asks_recipe(["stage=rlvr", word, "--help"])
    assert not asks_recipe(["stage=rlvr", "seed=1"])


def test_a_stage_with_arms_is_trained_and_scored_in_a_directory_for_each_arm_and_seed():
    command = read_command([*STAGE, "arms=[objective=gspo,base]", "seeds=[3,4]"])
    assert [arm.name for arm in command.arms] == ["gspo-3", "gspo-4", "base-3", "base-4"]
    assert (command.stem, command.title, command.against) == ("rlvr-arms", "stage=rlvr", "gspo")
    found = steps(command, "gspo-4")
    assert [*found] == ["rlvr", "benchmark"] and found["rlvr"].dir == Path("out/gspo-4/rlvr")
    trained, scored = (found[name].config for name in found)
    assert trained.rlvr.objective.importance_sampling_level == "sequence"
    assert (trained.seed, trained.trainer.max_steps) == (4, 8)
    assert scored.benchmark.checkpoints == ["out/gspo-4/rlvr/export"]
    assert steps(command, "base-3")["rlvr"].config.rlvr.objective.clip_high == 0.28


def test_an_arm_goes_over_the_command_and_one_step_over_all():
    words = ["optim.lr=1", "rlvr:optim.weight_decay=2"]
    command = read_command([*STAGE, *words, "arms=[base,[optim.lr=3,rlvr:optim.weight_decay=4]]"])
    lr = [steps(command, arm.name)["rlvr"].config.optim.lr for arm in command.arms]
    decay = [steps(command, arm.name)["rlvr"].config.optim.weight_decay for arm in command.arms]
    assert (lr, decay) == ([1, 3], [2, 4])
    assert steps(command, command.arms[1].name)["benchmark"].config.optim.weight_decay != 4


def test_controls_are_arms_beside_others():
    rule = "data.contribution.rule=vidground"
    command = read_command([*STAGE, rule, "arms=[objective=gspo]", "controls=[full]"])
    assert [arm.name for arm in command.arms] == ["gspo-0", "full-0"]
    found = {arm.label: steps(command, arm.name)["rlvr"].config for arm in command.arms}
    controls = [config.data.contribution.control for config in found.values()]
    assert controls == ["filtered", "full"]


def test_an_arm_may_start_from_weights_of_its_own_and_shared_steps_do_not():
    words = ["recipe=vidground", "init_from=a", "arms=[init_from=b,rlvr:init_from=c]"]
    command = read_command(words)
    one, other = (steps(command, arm.name) for arm in command.arms)
    assert (one["probe"].config.init_from, one["rlvr"].config.init_from) == ("a", "b")
    assert (one["benchmark"].config.init_from, other["benchmark"].config.init_from) == ("b", "a")
    assert other["rlvr"].config.init_from == "c"


def test_processes_train_together_and_a_benchmark_is_one():
    together = ["trainer.devices=2", "trainer.strategy=ddp"]
    found = steps(read_command([*STAGE, *together, "seeds=[1]"]), "base-1")
    assert [step.config.trainer.devices for step in found.values()] == [2, 1]


@pytest.mark.parametrize(
    ("words", "graded"),
    [
        (["stage=prealign"], "description"),
        (["stage=sft", "data.task=describe"], "description"),
        (["stage=sft"], "answer"),
    ],
)
def test_descriptions_are_graded_as_such(words, graded):
    found = steps(read_command([*words, "seeds=[0]"]), "base-0")
    assert found["benchmark"].config.benchmark.grade_by == graded


def test_the_comparison_is_the_last_step():
    words = ["arms=[objective=gspo,base]", "against=base", "benchmark.confidence=0.9"]
    command = read_command([*STAGE, *words])
    chains = [resolve(command, Path("out"), arm) for arm in command.arms]
    last = comparison(command, chains, Path("out"))
    assert last is not None and str(last) == (
        "python eval.py stage=compare 'compare.runs=[out]' compare.against=base "
        "benchmark.confidence=0.9 run.root=out run.name=compare"
    )
    alone = read_command([*STAGE, "seeds=[1]", "skip=[benchmark]"])
    assert comparison(alone, [resolve(alone, Path("out"), alone.arms[0])], Path("out")) is None


MISTAKES = {
    "arms=[objectiv=gspo]": "arm objectiv=gspo: there is no setting 'objectiv'; did you mean obj",
    "arms=[trainer.accumulate=2]": "trainer.accumulate is called trainer.accumulate_grad_batches",
    "arms=[a:optim.lr=2]": "a:optim.lr: rlvr has no step 'a': choose from rlvr, benchmark",
    "arms=[fast]": "'fast' is not an assignment",
    "arms=[a": "arms is '[a', which cannot be read (while parsing",
    "arms=3": "arms is '3', which cannot be read (Invalid loaded object type: int)",
    "arms=[]": "arms is '[]', but is a list of arms, or names with their settings: give",
    "arms=[{a: [b]}]": "arms holds {'a': ['b']}, but an arm is a setting as on the command",
    "arms=[seed=1]": "arm seed=1 sets seed=1, but all arms have the same stages, places and",
    "arms=[optim.lr=1,optim.lr=1]": "arms has optim.lr=1 twice, but the same way of running",
    "arms={before: []}": "an arm is called before, but so are the weights that all arms start",
    "arms={a/b: [], c: []}": "the name of an arm is 'a/b', but names one file or directory",
    "arms=[base,objective=default]": "arms base and default run with the same settings, so that",
    "arms=[base,benchmark.limit=3]": "benchmark.limit of step benchmark is 3 in arm limit=3 and 0",
    "arms=[base,model.answer_with=letter]": "model.answer_with of step benchmark is letter in arm",
    "arms=[base,optim.lr=1] against=lr": "against=lr is not known: choose from base, lr=1, before",
    "arms=[base,optim.lr=high]": "step rlvr: command line: optim.lr is 'high', but must be a num",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_stops_before_anything_runs(words):
    given = [words] if "{" in words else words.split()
    with pytest.raises(ValueError) as caught:
        check_arms(read_command(["stage=rlvr", *given]))
    assert MISTAKES[words] in str(caught.value)


def test_only_trainings_have_arms():
    with pytest.raises(ValueError, match=r"stage=probe is none: choose from sft, rlvr, distill, "):
        read_command(["stage=probe", "arms=[base]"])
    with pytest.raises(ValueError, match=r"push\.to is given, but arms and seeds run rlvr 2"):
        check_arms(read_command([*STAGE, "seeds=[0,1]", "rlvr:push.to=a/b"]))
