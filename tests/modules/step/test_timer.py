import time

import pytest

from modules.step.timer import Stopwatch, lap


def test_laps_of_one_name_add_up():
    watch = Stopwatch()
    for seconds in (0.02, 0.03):
        with watch.lap("decode"):
            time.sleep(seconds)
    assert watch.seconds["decode"] == pytest.approx(0.05, abs=0.02)


def test_every_second_is_counted_once_and_for_the_innermost_phase():
    """20 ms of prefill, between 10 and 30 ms of a rollout."""
    watch = Stopwatch()
    began = time.perf_counter()
    with watch.lap("rollout"):
        time.sleep(0.01)
        with watch.lap("prefill"):
            time.sleep(0.02)
        time.sleep(0.03)
    passed = time.perf_counter() - began
    assert watch.seconds["rollout"] >= 0.04
    assert watch.seconds["prefill"] >= 0.02
    assert sum(watch.seconds.values()) == pytest.approx(passed, abs=1e-3)


def test_time_between_phases_is_nobodys():
    watch = Stopwatch()
    with watch.lap("a"):
        pass
    time.sleep(0.05)
    with watch.lap("b"):
        pass
    assert sum(watch.seconds.values()) < 0.02


def test_a_phase_that_fails_is_counted_and_over():
    watch = Stopwatch()
    with pytest.raises(KeyError), watch.lap("outer"), watch.lap("inner"):
        raise KeyError
    time.sleep(0.05)
    with watch.lap("next"):
        pass
    assert list(watch.seconds) == ["outer", "inner", "next"]
    assert sum(watch.seconds.values()) < 0.02


def test_nobody_has_to_watch():
    with lap(None, "decode"):
        pass
