"""Tests of recipes as words: files, command lines, and the commands that steps become."""

import re
from pathlib import Path

import pytest

from configs import recipes
from configs.command import asks_recipe, help_text, main_recipe
from configs.recipe_command import CONTROLS, Command, read_command
from configs.recipes import read_recipe
from recipes.steps import Step, identity, resolve

DIGITS = """\
# python train.py recipe=tea
# Warm up, ask, imitate, reinforce, compare.
settings:
  data.contribution.rule: vidground
  objective: dapo
steps:
  - name: reader
    stage: sft
    shared: true
    init_from: "@start"
    data: {train: warm, task: answer_from_description}
  - name: probe
    stage: probe
    shared: true
    init_from: "@start"
  - name: sft
    stage: sft
    trainer: {max_steps: 30, batch_size: 4}
  - name: rlvr
    stage: rlvr
    filtered: true
    data.contribution.probes: ["@probe"]
    prealign.reader: "@reader"
    trainer.max_steps: 70
  - name: distill
    stage: distill
  - name: again
    stage: sft
    sft.traces: "@distill/traces.jsonl"
  - name: benchmark
    stage: benchmark
    benchmark: {checkpoints: ["@start", "@sft", "@rlvr"], limit: 5}
"""
ROOT = Path("out")


@pytest.fixture(autouse=True)
def tea(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One recipe of its own in place of those that ship."""
    (tmp_path / "tea").mkdir()
    (tmp_path / "tea/digits.yaml").write_text(DIGITS)
    monkeypatch.setattr(recipes, "RECIPES", tmp_path)
    return tmp_path / "tea"


def read(*words: str) -> Command:
    return read_command(["recipe=tea", *words])


def steps(*words: str, arm: str | None = None) -> dict[str, Step]:
    command = read(*words)
    found = {None: None, **{each.name: each for each in command.arms}}
    return {step.name: step for step in resolve(command, ROOT, found[arm])}


def mistake(*words: str) -> str:
    with pytest.raises(ValueError) as caught:
        resolve(read(*words), ROOT)
    return str(caught.value)


def test_steps_run_in_the_order_of_the_file_each_by_its_script():
    assert [(step.name, step.script) for step in resolve(read(), ROOT)] == [
        ("reader", "train.py"),
        ("probe", "eval.py"),
        ("sft", "train.py"),
        ("rlvr", "train.py"),
        ("distill", "train.py"),
        ("again", "train.py"),
        ("benchmark", "eval.py"),
    ]


def test_a_step_is_one_command_in_a_directory_of_its_own():
    assert str(steps()["reader"]) == (
        "python train.py stage=sft data.contribution.rule=vidground data.train=warm "
        "data.task=answer_from_description init_from=assets/tiny run.root=out run.name=reader"
    )


def test_a_step_starts_from_the_last_training_step_and_a_benchmark_from_the_start():
    origins = {name: step.config.init_from for name, step in steps("init_from=w").items()}
    assert origins == {
        "reader": "w",
        "probe": "w",
        "sft": "out/reader/export",
        "rlvr": "out/sft/export",
        "distill": "out/rlvr/export",
        "again": "out/distill/export",
        "benchmark": "w",
    }


def test_names_stand_for_weights_files_and_voters():
    found = steps()
    assert found["rlvr"].config.prealign.reader == "out/reader/export"
    assert found["again"].config.sft.traces == "out/distill/traces.jsonl"
    assert found["rlvr"].config.data.contribution.probes == ["@out/probe"]
    assert found["benchmark"].config.benchmark.checkpoints == [
        "assets/tiny",
        "out/sft/export",
        "out/rlvr/export",
    ]


def test_names_may_be_given_on_the_command_line():
    found = steps("benchmark:benchmark.checkpoints=[@sft, x]", "rlvr:init_from=@reader")
    assert found["benchmark"].config.benchmark.checkpoints == ["out/sft/export", "x"]
    assert found["rlvr"].config.init_from == "out/reader/export"


def test_the_start_is_the_model_that_the_command_names():
    assert steps("model.path=mine")["reader"].config.init_from == "mine"


def test_a_directory_with_a_comma_stays_one_word(tmp_path):
    place = tmp_path / "a,b"
    step = {step.name: step for step in resolve(read(), place)}["rlvr"]
    assert step.config.data.contribution.probes == [f"@{place}/probe"]


def test_words_apply_to_every_step_and_to_one_behind_its_name():
    found = steps("seed=7", "trainer.max_steps=50", "rlvr:trainer.max_steps=9", "rlvr:optim.lr=1")
    assert {step.config.seed for step in found.values()} == {7}
    lengths = {name: step.config.trainer.max_steps for name, step in found.items()}
    assert (lengths["sft"], lengths["rlvr"], lengths["distill"]) == (50, 9, 50)
    assert (found["rlvr"].config.optim.lr, found["sft"].config.optim.lr) == (1.0, 1e-3)


def test_later_layers_win():
    """All steps' objective, then the step's steps, then the command's."""
    assert steps()["rlvr"].config.rlvr.objective.loss_aggregation == "token"  # dapo, of all steps
    assert steps()["rlvr"].config.trainer.max_steps == 70
    assert steps("objective=grpo")["rlvr"].config.rlvr.objective.loss_aggregation == "sequence"
    last = steps("objective=grpo", "rlvr:objective=dr_grpo")["rlvr"].config
    assert last.rlvr.objective.loss_aggregation == "constant"


def test_sweeps_may_spell_words_as_they_like():
    plain, *spelled = (
        {name: step.config for name, step in steps(*words).items()}
        for words in (
            ("optim.lr=2e-5", "rlvr:trainer.max_steps=9"),
            ("--optim.lr=2e-5", "++rlvr:trainer.max_steps=9"),
            ('{"optim.lr": 2e-5, "rlvr:trainer.max_steps": 9}',),
        )
    )
    assert spelled == [plain, plain]


def test_a_skipped_training_step_hands_on_what_it_would_have_started_from():
    found = steps("skip=[sft,distill]", "again:sft.traces=")
    assert found["rlvr"].config.init_from == "out/reader/export"
    assert found["again"].config.init_from == "out/rlvr/export"


def test_lists_lose_what_skipped_steps_would_have_left():
    found = steps("skip=[probe,rlvr]")
    assert found["benchmark"].config.benchmark.checkpoints == ["assets/tiny", "out/sft/export"]
    assert steps("skip=probe")["rlvr"].config.data.contribution.probes == []


MISTAKES = {
    "scale=huge": "scale=huge is not known: choose from digits",
    "optim.lrr=1": "there is no setting 'optim.lrr'; did you mean optim.lr?",
    "job=3": "there is no setting 'job'; did you mean jobs?",
    "control=all": "did you mean controls?",
    "optim.lr=high": "step reader: command line: optim.lr is 'high', but must be a number",
    "rlvr:optim.lrr=1": "step rlvr: command line: there is no setting 'optim.lrr'; did you mean",
    "rlvvr:optim.lr=1": "tea has no step 'rlvvr': choose from reader, probe, sft, rlvr, distill, "
    "again, benchmark; did you mean rlvr?",
    "skip=[sftt]": "skip: tea has no step 'sftt': choose from reader,",
    "skip=[reader,probe,sft,rlvr,distill,again,benchmark]": "leaves no step of tea: skip fewer",
    "stage=sft": "recipe=tea has stages of its own, and stage=sft is given as well",
    "controls=[fulll]": "controls=fulll is not known: choose from filtered, full, random_same_size",
    "seeds=[0,0]": "each names at least one, and none twice",
    "seeds=[]": "each names at least one",
    "seeds=[-1]": "seeds is '-1', but must be a whole number from 0 on",
    "jobs=0": "jobs is '0', but must be a whole number from 1 on",
    "rlvr:run.name=x": "step rlvr: run.name=x is given, but a recipe names stages and places",
    "sft:init_from=@rlvr": "step sft: init_from is '@rlvr', but no step before it has that name: "
    "choose from @reader, @probe, @start",
    "sft:init_from=@raeder": "@start; did you mean reader?",
    "rlvr:init_from=@probe": "but stage=probe leaves no weights: name a training step",
    "sft:reward=omniboost": "step sft: reward=omniboost is for stage=rlvr, and stage=sft has no",
    "fast": "'fast' is not an assignment",
    "skip=[distill]": "step again: sft.traces is '@distill/traces.jsonl', but that step is "
    "skipped: skip again too, or give again:sft.traces=...",
    "controls=all data.contribution.control=full": "give one of the two",
    "seeds=[1] seed=2": "give one of the two",
    "controls=all skip=[rlvr]": "no step of tea filters: give one a rule, as in STEP:data",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_stops_before_anything_runs(words):
    assert MISTAKES[words] in mistake(*words.split())


@pytest.mark.parametrize("name", ["tee", "../tea"])
def test_a_recipe_is_a_name_that_is_known_and_no_path(name):
    match = rf"recipe={re.escape(name)} is not known: choose from tea; did you mean tea\?"
    with pytest.raises(ValueError, match=match):
        read_command([f"recipe={name}"])


def with_slip(old: str, new: str) -> str:
    return DIGITS.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (with_slip("name: again", "name: sft"), "a name of its own, other than start: rename one"),
        (with_slip("name: again", "name: start"), "each has a name of its own, other than start"),
        (with_slip("stage: distill", "stage: distil"), "'distill' has stage 'distil', .* distill?"),
        (with_slip("steps:", "setting: {}\nsteps:"), "holds setting, but a recipe has .*: move"),
        (with_slip("settings:\n", "settings: 3\nother:\n"), "holds other, but"),
        (with_slip("\nsteps:\n", "\nsteps:\n  - probe\n"), "step 1 is 'probe', but .*: write"),
        ("settings: {seed: 1}\n", "digits.yaml: steps is None, but .* list of steps: begin each"),
        ("", "digits.yaml: steps is None"),
        ("steps: []\n", "steps is [], but"),
        ("steps: probe\n", "steps is 'probe', but"),
        ("- probe\n", "digits.yaml is ['probe'], but it is made of keys with values: write"),
        ("settings: 3\nsteps: [{name: a, stage: sft}]\n", "settings is 3, but .*: write them as"),
    ],
)
def test_a_file_with_a_slip_is_refused(tea, text, told):
    (tea / "digits.yaml").write_text(text)
    with pytest.raises(ValueError) as caught:
        read_recipe("tea", "digits")
    assert all(part in str(caught.value) for part in told.split(".*"))


def test_a_shared_step_depends_on_shared_ones_only(tea):
    late = DIGITS.replace("stage: distill", "stage: distill\n    shared: true")
    (tea / "digits.yaml").write_text(late)
    assert steps()["distill"].config.init_from == "out/reader/export"
    (tea / "digits.yaml").write_text(
        late.replace(
            "shared: true\n  - name: again", 'shared: true\n    init_from: "@rlvr"\n  - name: again'
        )
    )
    assert "mark rlvr as shared too, or distill as not" in mistake()


def test_controls_cross_seeds():
    arms = read("controls=[filtered,full]", "seeds=[3,4]").arms
    assert [arm.name for arm in arms] == ["filtered-3", "filtered-4", "full-3", "full-4"]
    assert [arm.name for arm in read("controls=all").arms] == [f"{name}-0" for name in CONTROLS]
    assert [arm.name for arm in read("seeds=[1]").arms] == ["base-1"]
    assert read().arms == ()


def test_an_arm_sets_its_control_where_the_recipe_filters_and_its_seed_in_all_its_steps():
    found = steps("controls=all", "seeds=[5]", arm="complement-5")
    controls = {name: step.config.data.contribution.control for name, step in found.items()}
    assert (controls["rlvr"], controls["sft"], controls["probe"]) == ("complement",) + 2 * (
        "filtered",
    )
    seeds = {name: step.config.seed for name, step in found.items()}
    assert (seeds["rlvr"], seeds["sft"], seeds["benchmark"], seeds["probe"]) == (5, 5, 5, 0)


def test_arms_lie_apart_but_for_what_they_share():
    found = steps("controls=all", "seeds=[1,2]", arm="full-2")
    assert found["probe"].dir == Path("out/probe")
    assert found["sft"].dir == Path("out/full-2/sft")
    assert found["rlvr"].config.init_from == "out/full-2/sft/export"
    assert found["rlvr"].config.prealign.reader == "out/reader/export"


def test_a_step_filters_where_the_command_gives_it_a_rule():
    """Any recipe can be compared with its controls; shared steps and probes stay as they are."""
    words = ["controls=all", "skip=[rlvr]", "sft:data.contribution.rule=vidground"]
    found = steps(*words, arm="complement-0")
    assert found["sft"].config.data.contribution.control == "complement"
    everywhere = steps("controls=all", "data.contribution.rule=vidground", arm="full-0")
    controls = {name: one.config.data.contribution.control for name, one in everywhere.items()}
    assert {name for name, control in controls.items() if control == "full"} >= {"sft", "rlvr"}
    assert controls["probe"] == controls["reader"] == "filtered"


def test_the_same_words_are_the_same_recipe_wherever_it_lies():
    plain = identity(read())
    assert identity(read("run.root=elsewhere", "run.name=mine", "jobs=2", "--dry-run")) == plain
    assert identity(read("logger=wandb")).hash == plain.hash
    assert re.fullmatch(r"[0-9a-f]{8}", plain.hash)


@pytest.mark.parametrize(
    "word", ["seed=1", "rlvr:optim.lr=2", "skip=[again]", "controls=[full]", "seeds=[0,1]"]
)
def test_other_words_are_another_recipe(word):
    assert identity(read(word)).hash != identity(read()).hash


def test_the_words_of_a_recipe_say_what_to_run_and_where():
    command = read("run.root=r", "run.name=n", "jobs=3", "--dry-run")
    assert (command.root, command.name, command.jobs, command.dry_run) == (Path("r"), "n", 3, True)
    assert (read().root, read().name, read().jobs, read().dry_run) == (Path("runs"), None, 1, False)
    assert read("run.name=None").name is None


@pytest.mark.parametrize("word", ["recipe=tea", "--recipe=tea", "++recipe=tea"])
def test_a_recipe_is_told_from_a_stage(word):
    assert asks_recipe([word, "seed=1"])
    assert not asks_recipe([word, "--help"])
    assert not asks_recipe(["stage=sft"])


def test_a_mistake_is_one_line_and_a_failure(capsys):
    with pytest.raises(SystemExit) as left:
        main_recipe(["recipe=tee"])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("error: recipe=tee is not known")


def test_help_of_training_tells_of_recipes(monkeypatch):
    monkeypatch.undo()
    text = help_text("train.py", ("sft", "rlvr"))
    assert "recipe=RECIPE" in text and "vidground" in text
    assert "recipe=RECIPE" not in help_text("eval.py", ("probe",))
