"""Tests of configs: precedence, spellings, mistakes and what the user is told."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from configs.load import GROUPS, SCRIPTS, SERVES, choices, config_hash, load_config, to_yaml
from configs.paths import FOLDER
from configs.schema import Config

ROOT = Path(__file__).parents[2]
TRAIN = ("sft", "rlvr", "distill", "prealign")
EVAL = ("preview", "probe", "audit", "clean", "benchmark", "compare", "push", "runs")
STAGES = TRAIN + EVAL
FILES = sorted(path for group in GROUPS for path in (FOLDER / group).glob("*.yaml"))
NAMED = [
    path for path in FILES if path.parent.name in SERVES and path.stem != GROUPS[path.parent.name]
]
"""The algorithms that only set `rlvr`."""


def load(*words: str) -> Config:
    return load_config(["stage=rlvr", *words], TRAIN)


def mistake(*words: str) -> str:
    with pytest.raises(ValueError) as caught:
        load(*words)
    return str(caught.value)


def test_there_are_choices_to_test():
    assert {path.parent.name for path in FILES} == {"stage", "objective", "reward", "model", "data"}
    assert len(NAMED) > 10
    assert (
        {path.stem for path in FILES if path.parent.name == "stage"} == set(STAGES) == set(SCRIPTS)
    )


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parent.name not in SERVES], ids=lambda path: path.stem
)
def test_every_choice_loads_under_its_own_name(path):
    group = path.parent.name
    words = [] if group == "stage" else ["stage=probe"]
    config = load_config([*words, f"{group}={path.stem}", "data.root=here"], STAGES)
    chosen = {"stage": config.stage, "model": config.model.name, "data": config.data.name}
    assert chosen[group] == path.stem


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.stem)
def test_every_named_algorithm_loads_and_differs_from_the_default(path):
    named, default = load(f"{path.parent.name}={path.stem}"), load()
    assert named.rlvr != default.rlvr
    assert replace(named, rlvr=default.rlvr) == default


@pytest.mark.parametrize("group", SERVES)
def test_no_two_algorithms_are_alike(group):
    names = choices(group)
    assert len({config_hash(load(f"{group}={name}")) for name in names}) == len(names)


@pytest.mark.parametrize("group", SERVES)
def test_the_default_algorithm_is_what_no_word_chooses(group):
    assert load(f"{group}=default") == load()


def test_a_reward_lies_over_what_an_objective_says_of_rewards():
    """DAPO charges for overlong completions; AudioMCQ does not speak of them."""
    reward = load("objective=dapo", "reward=audiomcq").rlvr.reward
    assert (reward.accuracy, reward.format, reward.overlong) == (2.0, 0.5, 1.0)


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.stem)
@pytest.mark.parametrize("stage", sorted({*STAGES} - {"rlvr", "prealign"}))
def test_an_algorithm_is_refused_where_nothing_is_reinforced(path, stage):
    word = f"{path.parent.name}={path.stem}"
    with pytest.raises(ValueError) as caught:
        load_config([f"stage={stage}", word], STAGES)
    assert f"{word} is for stage=rlvr" in str(caught.value)
    assert f", and stage={stage} has no use for it" in str(caught.value)


def test_a_preview_begins_with_the_settings_of_its_stage():
    config = load_config(["stage=preview", "preview.of=rlvr", "objective=gspo"], STAGES)
    trained = load_config(["stage=rlvr", "objective=gspo"], STAGES)
    assert (config.stage, config.trainer, config.rlvr) == ("preview", trained.trainer, trained.rlvr)
    assert load_config(["stage=preview"], STAGES).optim == load_config(["stage=sft"], STAGES).optim
    with pytest.raises(ValueError, match=r"preview\.of is 'push', but must be one of sft, rlvr"):
        load_config(["stage=preview", "preview.of=push"], STAGES)


def test_descriptions_are_reinforced_by_any_objective_but_paid_by_their_reader():
    config = load_config(["stage=prealign", "objective=gspo"], STAGES)
    assert config.rlvr.objective == load("objective=gspo").rlvr.objective
    with pytest.raises(ValueError, match="reward=omniboost is for stage=rlvr, and stage=prealign"):
        load_config(["stage=prealign", "reward=omniboost"], STAGES)


ROUNDS = {  # of 2 minibatches, 3 times over: 6 optimizer steps
    "trainer.max_steps": (600, 605, 606),
    "trainer.val_check_interval": (0, 50, 54),
    "trainer.checkpoint_every": (90, 100, 102),
    "trainer.log_every_n_steps": (6, 10, 12),
    "rlvr.log_rollouts_every": (48, 50, 54),
    "data.contribution.refresh_every": (0, 1, 6),
}
SIX = ("rlvr.minibatches=2", "rlvr.num_iterations=3", "data.contribution.rule=vidground")


@pytest.mark.parametrize("key", ROUNDS)
def test_nothing_may_happen_within_a_round_of_sampling(key):
    fitting = {name: fits for name, (fits, _, _) in ROUNDS.items()}
    load(*SIX, *(f"{name}={steps}" for name, steps in fitting.items()))
    _, steps, suggested = ROUNDS[key]
    found = mistake(*SIX, *(f"{name}={n}" for name, n in (fitting | {key: steps}).items()))
    assert f"{key} is {steps}, but a round of sampling feeds" in found
    assert "= 6 optimizer steps" in found
    assert found.endswith(f"give a multiple, such as {key}={suggested}.")


def test_other_stages_have_no_rounds():
    words = ["stage=sft", *SIX, "trainer.max_steps=7"]
    assert load_config(words, TRAIN).trainer.max_steps == 7


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_choice_begins_with_its_command_and_a_caption(path):
    command, caption, *_ = path.read_text().splitlines()
    assert command.startswith("# python ") and f"{path.parent.name}={path.stem}" in command
    assert caption.startswith("# ") and caption.endswith(".")


def test_later_layers_win():
    assert load_config(["stage=probe"], STAGES).optim.lr == 1e-5  # the schema's
    assert load().optim.lr == 5e-4  # the stage's
    assert load("optim.lr=7e-5").optim.lr == 7e-5  # the command line's
    assert load("optim.lr=7e-5", "optim.lr=8e-5").optim.lr == 8e-5  # its last word


def test_model_and_data_have_defaults():
    assert (load().model.name, load().data.name) == ("tiny", "digits")


WORDS = {
    "plain": ["optim.lr=1e-07", "model.freeze_towers=True", "run.name=None"],
    "hyphens": ["--optim.lr=1e-07", "--model.freeze_towers=True", "--run.name=None"],
    "append": ["+optim.lr=1e-07", "+model.freeze_towers=True", "+run.name=None"],
    "override": ["++optim.lr=1e-07", "++model.freeze_towers=True", "++run.name=None"],
    "no equals": ["--optim.lr", "1e-07", "--model.freeze_towers=true", "--run.name", "None"],
    "boolean flags": ["--optim.lr=1e-07", "--model.freeze_towers", "--run.name=None"],
    "json": ['{"optim.lr": 1e-07, "model.freeze_towers": true, "run.name": null}'],
    "sections": ["optim={'lr': 1e-07}", "model={'freeze_towers': True}", "run={'name': None}"],
}


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS.keys())
def test_sweeps_may_spell_settings_as_they_like(words):
    config = load("run.name=other", *words)
    assert (config.optim.lr, config.model.freeze_towers, config.run.name) == (1e-7, True, None)


@pytest.mark.parametrize("spelling", ["None", "none", "null", ""])
def test_null_is_null_where_the_field_allows_it(spelling):
    assert load(f"init_from={spelling}").init_from is None


@pytest.mark.parametrize("name", ["007", "1e3", "true", "a b,c=d", "[x]"])
def test_a_name_stays_the_text_it_was(name):
    assert load(f"run.name={name}").run.name == name


@pytest.mark.parametrize("text", ["[full,text_only]", "[full, text_only]", "['full', 'text_only']"])
def test_lists_are_read(text):
    config = load_config(["stage=probe", f"probe.conditions={text}"], EVAL)
    assert config.probe.conditions == ["full", "text_only"]


def test_list_items_stay_text():
    assert load("benchmark.checkpoints=[1, 02]").benchmark.checkpoints == ["1", "02"]
    assert load("benchmark.checkpoints=[]").benchmark.checkpoints == []


MISTAKES = {
    "stage=ppo": "stage=ppo is not known: choose from distill, prealign, rlvr, sft",
    "stage=rlv": "choose from distill, prealign, rlvr, sft; did you mean rlvr?",
    "stage=probe": "stage=probe is run by eval.py: python eval.py stage=probe",
    "model=tny": "qwen3_vl_8b, tiny; did you mean tiny?",
    "model=../../etc/passwd": "model=../../etc/passwd is not known",
    "data=manifest": "data.root is not set and has no default: give data.root=...",
    "lr=1": "there is no setting 'lr'; did you mean optim.lr?",
    "optim.lrr=1": "did you mean optim.lr?",
    "learning_rat.lr=4": "did you mean optim.lr?",
    "lrr=4": "did you mean optim.lr?",
    "rlvr.group_sise=4": "did you mean rlvr.group_size?",
    "max_completion_tokens=4": "sft.max_completion_tokens or rlvr.max_completion_tokens or",
    "optim=1": "there is no setting 'optim'; it is a section: set optim.lr, ...",
    "optim.lr.x=1": "there is no setting 'optim.lr.x'",
    "rlvr.group_size=few": "rlvr.group_size is 'few', but must be a whole number",
    "rlvr.group_size=2.5": "rlvr.group_size is '2.5', but must be a whole number",
    "rlvr.group_size=1": "use at least 2",
    "rlvr.clip_low=1.5": "did you mean rlvr.objective.clip_low?",
    "objective=grop": "did you mean grpo?",
    "rlvr.objective.clip_low=1.5": "give a number above 0 and up to 1",
    "rlvr.objective.clip_ratio_c=1.2": "the second bound lies beyond the first",
    "rlvr.objective.loss_aggregation=mean": "must be one of sequence, token, constant",
    "rlvr.kl.coef=-1": "rlvr.kl.coef is -1.0, but must be at least 0",
    "rlvr.kl.estimator=k4": "must be one of k1, k2, k3, k3_corrected",
    "rlvr.rollout_correction.high=0.5": "high is 0.5, but must be at least 1",
    "rlvr.dynamic_sampling.max_batches=-1": "max_batches is -1, but must be at least 0",
    "rlvr.reward.accuracy=nan": "rlvr.reward.accuracy is nan, but must be at least 0",
    "rlvr.reward.length_min=600": "so that no length is paid",
    "rlvr.reward.overlong_share=20": "a fifth is 0.2",
    "rlvr.perception.token_coef=25": "a quarter is 0.25",
    "rlvr.perception.condition=full": "withholds no medium to compare with",
    "rlvr.num_iterations=0": "rlvr.num_iterations is 0, but must be at least 1",
    "model.lora.rank=-1": "model.lora.rank is -1, but must be at least 0",
    "rlvr.temperature=0": "rlvr.temperature is 0.0, but must be greater than 0",
    "optim.lr=None": "optim.lr is 'None', but must be a number",
    "trainer.max_steps=yes": "trainer.max_steps is 'yes', but must be a whole number",
    "optim.lr=nan": "optim.lr is nan, but must be greater than 0",
    "trainer.max_steps=0": "trainer.max_steps is 0, but must be at least 1",
    "data.max_bad_share=5": "data.max_bad_share is 5.0, but is a share from 0 to 1",
    "data.media.video_max_frames=0": "data.media.video_max_frames is 0",
    "model.freeze_towers=perhaps": "model.freeze_towers is 'perhaps', but must be true or false",
    "data.contribution.rule=vidgrond": "calibrated, soft; did you mean vidground?",
    "data.contribution.condition=textonly": "options_only or null; did you mean text_only?",
    "contribution.refresh_every=5": "did you mean data.contribution.refresh_every?",
    "data.contribution.margin=1.5": "both are shares between 0 and 1",
    "data.contribution.samples=0": "data.contribution.samples is 0, but must be at least 1",
    "probe.condition=[full]": "did you mean probe.conditions?",
    "probe.shard=9/8": "names one of several equal shares, counted from 1",
    "probe.backend=openai": "give probe.server.model=NAME",
    "probe.server.url=https://me:secret@host/v1": "put the key into the environment variable",
    "probe.server.concurrency=0": "probe.server.concurrency is 0, but must be at least 1",
    "audit.confidence=95": "audit.confidence is 95.0, but is a share between 0 and 1",
    "probe.conditions=full": "must be a list such as [a, b], each one of full, no_audio",
    "probe.conditions=[full, full]": "names each condition once",
    "benchmark.confidence=95": "95 percent is 0.95",
    "run.name=a/b": "choose its parent with run.root=...",
    "data.root=${oc.env:EARWITNESS_UNSET}": "data.root cannot be resolved",
    "seed=-1": "seed is -1, but counts from 0",
    "fast": "'fast' is not an assignment: settings are given as key=value",
    "--fast=1": "there is no setting 'fast'",
}


@pytest.mark.parametrize("word", MISTAKES)
def test_a_mistake_is_told_with_the_way_out(word):
    assert MISTAKES[word] in mistake(word)


def test_a_missing_stage_names_the_stages():
    with pytest.raises(
        ValueError, match=r"stage is not given: choose stage=\.\.\. from distill, prea"
    ):
        load_config([], TRAIN)


@pytest.mark.parametrize(
    "words",
    [
        ("run.name=x", "run.root=y", "logger=wandb"),
        *(("data.workers=3",), ("data.patience=9",)),
        *(("wandb.media_megabytes=0",), ("wandb.questions=3",)),
    ],
)
def test_the_hash_ignores_where_results_go_and_who_reads(words):
    assert config_hash(load(*words)) == config_hash(load())


@pytest.mark.parametrize("word", ["seed=1", "optim.lr=3.0000001e-4", "data.root=x", "model.path=x"])
def test_the_hash_sees_everything_else(word):
    assert config_hash(load(word)) != config_hash(load())


def test_the_hash_does_not_depend_on_the_process():
    code = "from configs.load import *; print(config_hash(load_config(['stage=rlvr'], ('rlvr',))))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout.strip() == config_hash(load()), found.stderr


def test_the_dump_loads_as_the_same_config(tmp_path):
    config = load("run.name=007", "benchmark.checkpoints=[a, b]", "optim.lr=1e-7")
    tree = OmegaConf.to_container(OmegaConf.create(to_yaml(config)))
    assert load_config([json.dumps(tree)], TRAIN) == config


def test_a_model_knows_its_own_scale():
    """The stage suits the tiny model; a large one lays its learning rate over the stage's."""
    assert load().optim.lr > 1e-5
    assert load("model=qwen2_5_omni_3b").optim.lr == 1e-6
    assert load("model=qwen2_5_omni_3b", "optim.lr=2e-6").optim.lr == 2e-6
