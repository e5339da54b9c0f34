"""Files of one's own settings, and runs that are repeated by what they have left."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from configs.command import asks_recipe, words_again
from configs.files import DEEPEST
from configs.layers import COMMAND, SETTINGS
from configs.load import config_hash, load_config, to_yaml
from configs.recipe_command import read_command
from configs.repeating import line_of
from configs.schema import Config

TRAIN = ("sft", "rlvr", "distill", "prealign")


def load(*words: str) -> Config:
    return load_config(["stage=rlvr", *words], TRAIN)


def mistake(*words: str) -> str:
    with pytest.raises(ValueError) as caught:
        load_config([*words], TRAIN)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of settings to write into."""
    return tmp_path / "my.yaml"


def test_a_file_lies_between_what_is_chosen_by_name_and_the_command(file, tmp_path):
    """The learning rate of stage=rlvr is 5e-4; the objective dapo samples 16 for each prompt."""
    file.write_text("optim: {lr: 2e-4}\nrlvr.group_size: 6\nseed: 4\ndata.root: ~/mine\n")
    config = load("objective=dapo", f"config={file}", "seed=5")
    assert (config.optim.lr, config.rlvr.group_size, config.seed) == (2e-4, 6, 5)
    assert config.data.root == str(Path.home() / "mine")


@pytest.mark.parametrize(
    "words",
    [["config={0}", "config={1}"], ["--config", "{0}", "--config={1}"], ["config=[{0},{1}]"]],
)
def test_a_later_file_wins_over_an_earlier_one(words, tmp_path):
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    files[0].write_text("seed: 1\noptim.lr: 2e-4\n")
    files[1].write_text("seed: 2\n")
    config = load(*(word.format(*files) for word in words))
    assert (config.seed, config.optim.lr) == (2, 2e-4)


def test_a_file_of_json_is_a_file_of_settings_too(tmp_path):
    file = tmp_path / "my.json"
    file.write_text('{"optim": {"lr": 0.002}, "data.contribution.probes": ["a", "b"]}')
    config = load(f"config={file}")
    assert (config.optim.lr, config.data.contribution.probes) == (0.002, ["a", "b"])


def test_an_empty_file_sets_nothing(file):
    file.write_text("# to be written\n")
    assert load(f"config={file}") == load()


FAULTS = {
    "trainer:\n  max_steps: 3\n  max_stepz: 3\n": ":3: there is no setting 'trainer.max_stepz'; "
    "did you mean trainer.max_steps?",
    "seed: 1\noptim:\n  lr: fast\n": ":3: optim.lr is 'fast', but must be a number",
    "seed: 1\noptim: 3\n": ":2: there is no setting 'optim'; it is a section: set optim.lr, ...",
    "\nsft.average: token\n": ":2: sft.average is called sft.loss_aggregation in this version",
    "seed: 1\nmodel: tiny\n": ":2: model is 'tiny', which chooses another file",
    "stage: sft\n": ":1: stage is 'sft', which chooses another file or stage, but a file of "
    "settings names none: give stage=... on the command line instead",
    "config: other.yaml\n": ":1: config is 'other.yaml', which chooses another file",
    "recipe: vepa\n": ":1: recipe is 'vepa', which chooses another file",
    "optim.lr: 1\noptim:\n  lr: 2\n": " sets optim.lr in line 1 and again in line 3, but each key "
    "stands once: delete one of them.",
    "seed: !!python/object:os.system 1\n": "has the tag",
    "seed: 1\nseed: 2\n": "each key once",
    "[1, 2]\n": "made of keys with values",
    "a: " * DEEPEST + "1": "cannot be read as settings",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_is_told_with_its_file_and_line(text, file):
    file.write_text(text)
    found = mistake("stage=rlvr", f"config={file}")
    assert str(file) in found and FAULTS[text] in found


def test_a_file_that_is_not_there_is_told_with_where_its_path_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mistake("stage=rlvr", "config=my.yaml") == (
        "config=my.yaml names no file that is there, but settings are read from it: write them "
        f"there as YAML, or correct the path, which starts at {tmp_path}."
    )


def test_a_file_sets_every_step_of_a_recipe_below_the_words(file):
    file.write_text("seed: 3\noptim.lr: 2e-4\nrun.name: mine\n")
    command = read_command(["recipe=vidground", f"config={file}", "seed=4"])
    assert command.everywhere == {"seed": "4", "optim.lr": 2e-4}
    assert command.name == "mine"


LINES = [
    ["stage=rlvr"],
    ["stage=rlvr", "objective=dapo", "reward=audiomcq", "optim.lr=1e-7", "model.lora.rank=4"],
    ["stage=sft", "model=qwen2_5_omni_3b", "data=manifest", "data.root=my questions"],
    ["stage=sft", "data.train=it's $HOME; rm", "run.root=a b", "logger=wandb"],
    ["stage=sft", '{"model.system_prompt": "two\\nlines \\"quoted\\""}', "model.tower_cache="],
    ["stage=rlvr", "data.contribution.probes=['a,b','c d']", "data.contribution.min_votes=null"],
    ["stage=sft", "data.mixture.by=source", "data.mixture.shares=[a:1,b:2]"],
    ["stage=prealign", "data.contribution.weighted=true", "data.contribution.rule=soft"],
]


@pytest.mark.parametrize("words", LINES)
def test_the_line_of_a_run_repeats_it_to_the_last_setting(words):
    config = load_config([*words, "run.name=mine", "push.to=me/model"], TRAIN)
    line = line_of(config)
    assert "\n" not in line
    python, script, *again = shlex.split(line)
    assert (python, script) == ("python", "train.py")
    run, push = replace(config.run, name=None), replace(config.push, to=None)
    assert load_config(again, TRAIN) == replace(config, run=run, push=push)


def left(place: Path, *words: str) -> Config:
    """Leave what a run leaves in its directory."""
    place.mkdir()
    config = load(*words)
    (place / SETTINGS).write_text(to_yaml(config))
    return config


def test_a_run_is_repeated_with_changes_and_another_directory(tmp_path):
    words = ["objective=dapo", "optim.lr=2e-4", "run.name=mine", f"run.root={tmp_path}"]
    config = left(tmp_path / "mine", *words)
    again = load_config(["--config-from", str(tmp_path / "mine")], TRAIN)
    assert again == replace(config, run=replace(config.run, name=None))
    assert config_hash(again) == config_hash(config)
    changed = load_config([f"--config-from={tmp_path / 'mine'}", "seed=7", "stage=rlvr"], TRAIN)
    assert changed == replace(again, seed=7)


def test_a_run_from_another_place_finds_the_data_that_it_had(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = left(tmp_path / "mine")
    assert load_config(["--config-from", "mine"], TRAIN) == config


def test_a_file_lies_over_a_repeated_run(tmp_path, file):
    left(tmp_path / "mine", "seed=1")
    file.write_text("seed: 2\n")
    again = load_config(["--config-from", str(tmp_path / "mine"), f"config={file}"], TRAIN)
    assert again.seed == 2


def test_what_cannot_be_repeated_says_why(tmp_path):
    run = tmp_path / "mine"
    left(run, "optim.lr=2e-4")
    text = (run / SETTINGS).read_text()
    begin = f"--config-from={run}"
    assert f"{tmp_path / 'mien'} has no config.yaml" in mistake(f"--config-from={tmp_path}/mien")
    assert "did you mean mine?" in mistake(f"--config-from={tmp_path}/mien")
    assert "which is of stage=rlvr" in mistake(begin, "stage=sft")
    assert "objective=gspo is given with" in mistake(begin, "objective=gspo")
    with pytest.raises(ValueError, match=r"stage=rlvr is run by train\.py"):
        load_config([begin], ("probe",))
    (run / SETTINGS).write_text(text.replace("loss_aggregation: prompt", "average: prompt"))
    assert "sft.average is called sft.loss_aggregation in this version" in mistake(begin)
    (run / SETTINGS).write_text(text.replace("  weight_decay: 0.01\n", ""))
    assert "lacks optim.weight_decay, but a run leaves every setting" in mistake(begin)
    assert load_config([begin, "optim.weight_decay=0.5"], TRAIN).optim.weight_decay == 0.5


def test_a_run_names_no_file_that_is_run(tmp_path):
    """Whoever left the directory may be a stranger; a word of the command is not."""
    left(tmp_path / "mine")
    file = tmp_path / "mine" / SETTINGS
    text = file.read_text().replace("verifiers: []", "verifiers: ['examples/my.py:f@0123']")
    file.write_text(text)
    found = mistake(f"--config-from={tmp_path / 'mine'}")
    assert "data.verifiers=['examples/my.py:f@0123'], which runs code of a file" in found
    again = load_config([f"--config-from={tmp_path / 'mine'}", "data.verifiers=[]"], TRAIN)
    assert again.data.verifiers == []


def test_a_recipe_is_repeated_by_its_words(tmp_path):
    (tmp_path / COMMAND).write_text("python train.py recipe=vidground 'seeds=[0,1]' seed=2\n")
    begin = ["--config-from", str(tmp_path)]
    assert asks_recipe(begin)
    assert words_again([*begin, "jobs=2"]) == [
        "recipe=vidground",
        "seeds=[0,1]",
        "seed=2",
        "jobs=2",
    ]
    (tmp_path / COMMAND).write_text("python train.py recipe=vepa data.verifiers=[my.py:f]\n")
    with pytest.raises(ValueError, match=r"my\.py:f\], which runs code of a file"):
        words_again(begin)
    (tmp_path / COMMAND).write_text("python train.py stage=sft\n")
    assert words_again(begin) == begin and not asks_recipe(begin)


def test_what_changes_no_result_may_be_missing_from_an_older_run(tmp_path):
    left(tmp_path / "mine")
    file = tmp_path / "mine" / SETTINGS
    file.write_text(file.read_text().replace("  patience: 1800\n", ""))
    assert load_config([f"--config-from={tmp_path / 'mine'}"], TRAIN).data.patience == 1800
