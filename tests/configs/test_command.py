"""What a user meets at the command line: help, all settings of a command, mistakes."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from configs.command import COMMON, help_text, main_config
from configs.load import load_config, to_yaml
from configs.names import HINTS, captions

ROOT = Path(__file__).parents[2]
TRAIN = ("sft", "rlvr", "distill", "prealign")
EVAL = ("preview", "probe", "audit", "clean", "benchmark", "push", "runs")


def test_help_names_stages_choices_and_settings():
    text = help_text("train.py", TRAIN)
    for word in ("usage: python train.py", "rlvr", "qwen2_5_omni_3b", "manifest", "optim.lr="):
        assert word in text
    assert "benchmark        " not in text


@pytest.mark.parametrize("key", COMMON)
def test_help_speaks_of_settings_that_exist(key):
    assert key in HINTS


def test_every_setting_says_what_it_is():
    said = dict(captions())
    assert said.keys() == HINTS.keys() and all(said.values())
    assert said["optim.lr"] == "Peak learning rate"


@pytest.mark.parametrize(
    ("script", "stages", "theirs", "others"),
    [
        ("train.py", TRAIN, "  optim.lr=", "  probe."),
        ("eval.py", EVAL, "  probe.limit=", "  optim."),
    ],
)
def test_help_lists_the_settings_of_its_own_stages(script, stages, theirs, others):
    text = help_text(script, stages)
    assert theirs in text and "  model.path=" in text
    assert others not in text


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (["--help"], 0, help_text("train.py", TRAIN) + "\n", ""),
        (
            ["stage=ppo"],
            2,
            "",
            "error: stage=ppo is not known: choose from distill, prealign, rlvr, sft\n",
        ),
        (
            ["stage=rlvr", "seed=41", "--print-config"],
            0,
            to_yaml(load_config(["stage=rlvr", "seed=41"], TRAIN)),
            "",
        ),
    ],
)
def test_help_mistakes_and_settings_are_printed_and_the_script_is_left(
    words, code, out, err, capsys
):
    with pytest.raises(SystemExit) as left:
        main_config(words, TRAIN)
    assert left.value.code == code
    assert tuple(capsys.readouterr()) == (out, err)


def test_help_takes_less_than_a_second_and_imports_nothing_heavy():
    code = (
        "import sys; from configs.command import help_text; help_text('train.py', ('sft',));"
        "sys.exit(bool({'torch', 'lightning', 'numpy', 'transformers'} & {*sys.modules}))"
    )
    began = _worked()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == 0
    assert _worked() - began < 1.0


def _worked() -> float:
    """Seconds of processor time of all children: what neighbors do does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
