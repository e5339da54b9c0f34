"""Tests of running recipes: in order, once, and taken up again; arms side by side."""

import io
import json
import os
import sys
import time
from pathlib import Path

import pytest

from configs.load import load_config
from recipes import processes
from runtime.stopping import ChildFailed
from runtime.voters import with_voters
from tests.recipes.conftest import STAND_IN, STEPS, began, events, journal, only


def test_steps_run_one_after_the_other_and_by_their_scripts(tea, run):
    run()
    whole = [(name, what) for name in ("probe", "rlvr", "last") for what in ("began", "ended")]
    assert events(tea) == whole
    assert [row["script"] for row in journal(tea)[::2]] == ["eval.py", "train.py", "eval.py"]


def test_a_step_reads_the_voters_that_the_probe_left(tea, run):
    run()
    words = journal(tea)[2]["words"]
    (place,) = (word for word in words if word.startswith("data.contribution.probes="))
    assert place == f"data.contribution.probes=[@{only(tea / 'runs')}/probe]"
    config = with_voters(load_config(words, ("rlvr",)))
    assert config.data.contribution.probes == ["abc"]


def test_the_directory_is_named_by_recipe_scale_and_words(tea, run):
    run()
    place = only(tea / "runs")
    assert place.name.startswith("tea-digits-") and place.name.endswith("-0")
    assert {"finished", "config.hash", "config.yaml", "probe", "rlvr", "last"} <= {
        path.name for path in place.iterdir()
    }
    assert '- "stage=probe"' in (place / "config.yaml").read_text()


def test_a_finished_recipe_is_left_alone_and_the_same_words_start_another(tea, run):
    run()
    run()
    assert [path.name[-2:] for path in sorted((tea / "runs").iterdir())] == ["-0", "-1"]


def test_a_named_recipe_has_one_directory(tea, run):
    run("run.name=mine")
    with pytest.raises(ValueError, match=r"mine is finished.*choose another run\.name"):
        run("run.name=mine")
    with pytest.raises(ValueError, match=r"holds a run with config.*different: - \"seed=4\""):
        run("run.name=mine", "seed=4")


def test_a_failed_step_stops_the_recipe_with_its_command_and_last_line(tea, run, monkeypatch):
    monkeypatch.setenv("FAIL", "rlvr")
    with pytest.raises(ValueError) as caught:
        run()
    told = str(caught.value)
    assert told.startswith("step rlvr ended with status 1: the tea is cold: boil it\n")
    assert "\nIts command: python train.py stage=rlvr data.contribution.rule=vidground" in told
    log = only(tea / "runs") / "rlvr.log"
    assert str(log) in told and "the same recipe goes on at this step" in told
    assert all(words in log.read_text() for words in ("said rlvr", "many words"))
    assert began(tea) == ["probe", "rlvr"]


def test_the_same_command_goes_on_at_the_first_unfinished_step(tea, run, monkeypatch):
    monkeypatch.setenv("FAIL", "rlvr")
    with pytest.raises(ValueError):
        run()
    monkeypatch.delenv("FAIL")
    assert "probe (finished)" in run()
    assert began(tea) == ["probe", "rlvr", "rlvr", "last"]
    assert (only(tea / "runs") / "finished").exists()


@pytest.mark.parametrize(
    ("how", "steps", "code"), [("KILL", ["probe"], 137), ("STOP", ["probe", "rlvr"], 143)]
)
def test_a_step_that_a_signal_ended_ends_the_recipe_alike(tea, run, monkeypatch, how, steps, code):
    """Killed, or told to end, with the code that says so; what comes after does not begin."""
    monkeypatch.setenv(how, steps[-1])
    words = f"step {steps[-1]} ended by signal {code - 128}"
    with pytest.raises(ChildFailed, match=words) as caught:
        run()
    assert caught.value.code == code
    assert began(tea) == steps


def test_a_screen_that_is_gone_does_not_hold_up_a_step(tea, run, monkeypatch):
    """As behind `| head`: the transcript has all of it."""
    reader, writer = os.pipe()
    os.close(reader)
    nobody = io.TextIOWrapper(io.FileIO(writer, "wb"))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", nobody)
        run()
    place = only(tea / "runs")
    assert (place / "finished").exists() and "said rlvr" in (place / "rlvr.log").read_text()


def test_a_skipped_step_does_not_run(tea, run):
    run("skip=[probe]")
    assert began(tea) == ["rlvr", "last"]


def test_a_dry_run_tells_the_plan_and_does_nothing(tea, run):
    told = run("--dry-run", "rlvr:trainer.max_steps=40")
    assert began(tea) == [] and not (tea / "runs").exists()
    assert "rlvr" in told and " 40 " in told
    assert "python train.py stage=rlvr data.contribution.rule=vidground" in told


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("optim.lr=high", r"step probe: .*optim\.lr is 'high'"),
        ("rlvr:data.train=mmsu", r"step rlvr: data\.train=mmsu reads .*, of mmsu by its"),
    ],
)
def test_a_wrong_word_or_a_test_set_stops_before_anything_runs(tea, run, word, told):
    with pytest.raises(ValueError, match=told):
        run(word)
    assert began(tea) == [] and not (tea / "runs").exists()


def test_what_a_lone_step_says_is_shown(run, capfd):
    run()
    assert "said rlvr" in capfd.readouterr().out


def test_arms_share_what_they_can_and_run_side_by_side(tea, run, monkeypatch):
    monkeypatch.setenv("MEET", "rlvr")
    run("controls=[filtered,full]", "jobs=2")
    place = only(tea / "runs")
    where = [str(Path(row["step"]).relative_to(place)) for row in journal(tea)[::1]]
    assert where[:2] == ["probe", "probe"]
    assert sorted({*where}) == [
        *(f"{arm}-0/{step}" for arm in ("filtered", "full") for step in ("last", "rlvr")),
        "probe",
    ]
    rlvr = [row for row in journal(tea) if row["step"].endswith("rlvr")]
    assert [row["what"] for row in rlvr] == ["began", "began", "ended", "ended"]
    assert {row["threads"] for row in rlvr} == {"1"}


def test_the_comparison_of_the_arms_is_run_last_and_once(tea, run, monkeypatch):
    last = "{name: last, stage: benchmark, benchmark.checkpoints: ['@rlvr']}"
    text = STEPS.replace("{name: last, stage: audit}", last)
    (tea / "tea/digits.yaml").write_text(text)
    monkeypatch.setenv("FAIL", "compare")
    with pytest.raises(ValueError, match="step compare ended with status 1"):
        run("controls=[filtered,full]", "against=full", "jobs=2")
    place = only(tea / "runs")
    known = {"filtered": {"0": "filtered-0"}, "full": {"0": "full-0"}}
    assert json.loads((place / "arms.json").read_text()) == known
    monkeypatch.delenv("FAIL")
    run("controls=[filtered,full]", "against=full", "jobs=2")
    assert began(tea)[-2:] == ["compare", "compare"] and len(began(tea)) == 7
    words = journal(tea)[-1]["words"]
    assert {"stage=compare", f"compare.runs=[{place}]", "compare.against=full"} < {*words}


def test_after_a_failure_no_further_step_begins(tea, run, monkeypatch):
    monkeypatch.setenv("FAIL", "rlvr")
    with pytest.raises(ValueError, match="step filtered-0/rlvr ended with status 1"):
        run("controls=all")
    assert began(tea) == ["probe", "rlvr"]


def test_arms_that_are_finished_are_not_run_again(tea, run, monkeypatch):
    monkeypatch.setenv("FAIL", "last")
    with pytest.raises(ValueError):
        run("controls=[filtered,full]")
    monkeypatch.delenv("FAIL")
    run("controls=[filtered,full]")
    assert began(tea) == ["probe", "rlvr", "last", "last", "rlvr", "last"]


def test_a_process_of_a_launcher_does_not_start_the_recipe_again(run, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.raises(ValueError, match="start it once"):
        run()


def test_what_a_step_left_running_does_not_hold_up_its_recipe(tea, run, monkeypatch):
    """A service that has its end of the pipe, say."""
    monkeypatch.setattr(processes, "PATIENCE", 0.5)
    left = "import subprocess; subprocess.Popen(['sleep', '15'], start_new_session=True)\n"
    (tea / "eval.py").write_text(left + STAND_IN)
    began_at = time.monotonic()
    run()
    assert time.monotonic() - began_at < 40
    assert began(tea) == ["probe", "rlvr", "last"]
