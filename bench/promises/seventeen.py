"""The seventeen promises, and what they rest on when a machine fails."""

from functools import partial

from bench.promises.attacks import (
    crash_cache,
    damage_media,
    damage_records,
    fail,
    judge_adversaries,
    jump_clocks,
    spoil_numbers,
    start_at_once,
    time_cache,
)
from bench.promises.checkpoints import damage_newest, kill_saves, nothing_outside
from bench.promises.outcome import Effort, Outcome, Promise
from bench.promises.stages import KILLS
from bench.promises.tested import run_tests
from tests.fork_server import ForkServer

CLUSTER = ("scripts/slurm.sh", "timeout", "1500")
VERIFIERS = "tests/modules/verifiers"
BENCHMARKING = "tests/evaluation/benchmarking"


def on_a_cluster(effort: Effort, server: ForkServer) -> Outcome:
    """Run jobs on a real SLURM cluster of this machine."""
    if effort.short:
        return Outcome(left_to="make test-slurm")
    return run_tests(["-m", "slurm", "tests/slurm"], effort, before=CLUSTER)


PROMISES = (
    Promise(
        name="1",
        words="A run that was killed goes on as if it had not been: metrics, rollouts, weights, "
        "counts and scores are equal bit for bit, no sample is lost or learned from twice, and no "
        "process stays behind.",
        by=("bench/promises/stages.py", "tests/training/test_resume.py"),
        attempts=tuple(KILLS.values()),
    ),
    Promise(
        name="2",
        words="A checkpoint is whole or absent, and a kill leaves nothing outside of the run, also "
        "where temporary files lie on another file system.",
        by=("bench/promises/checkpoints.py", "tests/training/callbacks/test_checkpoints.py"),
        attempts=(kill_saves, nothing_outside),
        alone=True,
    ),
    Promise(
        name="3",
        words="A damaged newest checkpoint is noticed, and the one before it is taken.",
        by=("bench/promises/checkpoints.py", "tests/modules/step/test_resuming.py"),
        attempts=(damage_newest,),
    ),
    Promise(
        name="4",
        words="On SLURM, a task that is displaced, warned or out of time is queued again alone, "
        "and ends with the same metrics.",
        by=("tests/slurm/test_slurm.py",),
        attempts=(on_a_cluster,),
        alone=True,
    ),
    Promise(
        name="5",
        words="Counts of probes that were acknowledged survive kills, and half a million questions "
        "are filtered within a second.",
        by=("bench/probe_cache.py", "tests/datamodules/contribution/test_probe_shards.py"),
        attempts=(crash_cache, time_cache),
        alone=True,
    ),
    Promise(
        name="6",
        words="A cache never mixes labels or probes: whatever changes a question, its media, the "
        "prompt or the model changes its key, in each of 10,000 changes.",
        by=(
            "tests/datamodules/contribution/test_probe_cache.py",
            "tests/training/test_cache_keys.py",
        ),
    ),
    Promise(
        name="7",
        words="A bad record or medium neither stops nor poisons a training: it is set aside with "
        "its reason, and too many of them stop the run.",
        by=(
            *("bench/fuzz_records.py", "bench/media.py", "tests/datamodules/media/test_files.py"),
            *("tests/datamodules/sources/test_bounds.py",),
            *("tests/datamodules/sources/test_manifest.py",),
        ),
        attempts=(damage_records, damage_media),
    ),
    Promise(
        name="8",
        words="Scorers are right, by hand-worked tables and the publishers' rules, and know no "
        "chance.",
        by=tuple(
            f"{VERIFIERS}/test_{name}.py"
            for name in ("verify", "publisher", "publisher_counts", "golds", "reading_properties")
        ),
    ),
    Promise(
        name="9",
        words="No completion makes a reward expensive: 99 of 100 take less than 50 ms, all less "
        "than 10 s.",
        by=("bench/verifiers.py", "tests/house/test_worst.py"),
        attempts=(judge_adversaries,),
        alone=True,
    ),
    Promise(
        name="10",
        words="A number that is none never reaches the weights: the run stops before the step, "
        "with an exit code, and its checkpoints are finite.",
        by=("bench/promises/watched.py", "tests/modules/step/test_nonfinite.py"),
        attempts=(spoil_numbers,),
    ),
    Promise(
        name="11",
        words="No loader runs foreign code: pickles, tags of YAML, chat templates, code of a "
        "model, paths out of the data.",
        by=(
            *("tests/pretrained/test_hostile_models.py", "tests/pretrained/test_chat_template.py"),
            *("tests/configs/test_hostile_words.py", "tests/house/test_doors.py"),
            *("tests/untrusted/test_special_files.py",),
        ),
    ),
    Promise(
        name="12",
        words="Secrets are in nothing that is written.",
        by=(
            *("tests/house/test_secrets.py", "tests/configs/test_credentials.py"),
            *("tests/evaluation/probing/test_keys.py", "tests/publishing/test_card.py"),
        ),
    ),
    Promise(
        name="13",
        words="What a sweep or an array passes arrives as it was meant, and a hundred starts at "
        "once get a hundred directories.",
        by=(
            *("bench/promises/starts.py", "tests/configs/test_sweep_words.py"),
            *("tests/training/test_sweeps.py", "tests/runtime/test_runs.py"),
        ),
        attempts=(start_at_once,),
    ),
    Promise(
        name="14",
        words="An export says what the trained model says: float32 within 1e-5, and a hundred "
        "greedy answers alike.",
        by=(
            "tests/modules/backbones/test_exports.py",
            "tests/modules/backbones/test_adapters.py",
        ),
    ),
    Promise(
        name="15",
        words="Losses stay what they were: twenty steps of each objective, on the pinned packages.",
        by=("tests/training/test_golden_losses.py",),
    ),
    Promise(
        name="16",
        words="No score stands without its count, interval, unparsed share and blind baselines.",
        by=(
            *(f"{BENCHMARKING}/test_tables.py", f"{BENCHMARKING}/test_baselines.py"),
            *("tests/evaluation/statistics/test_intervals.py",),
            *("tests/evaluation/statistics/test_significance.py",),
        ),
    ),
    Promise(
        name="17",
        words="What is installed is what was locked, by its hash, and neither of Lightning's two "
        "stolen releases.",
        by=("tests/house/test_setup.py", "tests/house/test_lock.py"),
    ),
)

ON_A_FAILING_MACHINE = (
    Promise(
        name="full disk",
        words="One sentence, or a cache that warns; what was written before is whole, and the same "
        "command goes on.",
        by=("bench/failing.py", "tests/runtime/test_writing.py"),
        attempts=(partial(fail, conditions=("full", "a page left", "no inodes", "file size")),),
    ),
    Promise(
        name="read-only",
        words="The same where the directory may be read alone, or is another user's.",
        by=("bench/failing.py",),
        attempts=(partial(fail, conditions=("read-only", "another's")),),
    ),
    Promise(
        name="quota",
        words="The same for a quota.",
        by=("bench/failing.py",),
        attempts=(partial(fail, conditions=("quota",)),),
    ),
    Promise(
        name="no locks",
        words="A run says that its file system has no locks, and does not begin.",
        by=("bench/failing.py",),
        attempts=(partial(fail, conditions=("lock ENOLCK", "lock ENOTSUP")),),
    ),
    Promise(
        name="clock",
        words="A clock that jumps by up to a year changes nothing, killed runs included.",
        by=("bench/promises/attacks.py", "tests/runtime/test_failing_machine.py"),
        attempts=(jump_clocks,),
    ),
)

EVERY = (*PROMISES, *ON_A_FAILING_MACHINE)
"""The rows of the page, in their order."""
