"""Settings as a command writes them, without where they lay on the machine that trained."""

import pytest

from configs.load import load_config
from publishing.settings import command_of, portable, shown_settings


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("runs/a/export", "runs/a/export"),
        ("/data/me/runs/a/export", "PATH/a/export"),
        ("/data/me/runs/a/adapter", "PATH/a/adapter"),
        ("/data/me/digits", "PATH/digits"),
        ("/data/one.jsonl+two+/data/three", "PATH/one.jsonl+two+PATH/three"),
        ("@/data/runs/probe", "@PATH/probe"),
        ("@abc", "@abc"),
        ("/", "PATH/"),
        ("Qwen/Qwen3-VL-2B", "Qwen/Qwen3-VL-2B"),
        ("", ""),
    ],
)
def test_a_path_is_shown_by_its_end(path, told):
    assert portable(path) == told


def test_paths_in_settings_are_shown_by_their_ends():
    config = load_config(["stage=sft", "init_from=/x/b", "data.contribution.probes=[a]"], ("sft",))
    assert shown_settings(config) == {"init_from": "PATH/b", "data.contribution.probes": "[a]"}


def test_places_and_pushes_are_no_settings_of_what_was_learned():
    words = ["run.name=a", "run.root=b", "logger=wandb", "data.workers=2", "push.to=me/x"]
    config = load_config(["stage=sft", *words], ("sft",))
    assert shown_settings(config) == {}
    assert command_of(config, {}) == "python train.py stage=sft"


def test_long_commands_are_broken_between_words():
    config = load_config(["stage=sft"], ("sft",))
    text = command_of(config, {f"some.setting.{n}": "x" * 20 for n in range(9)})
    lines = text.split(" \\\n")
    assert len(lines) > 2 and all(len(line) <= 94 for line in lines)
    assert all(line.startswith("    some") for line in lines[1:])
