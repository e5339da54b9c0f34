import time

import pytest

from modules.step.timer import PhaseTimer, timed


def test_laps_of_one_name_add_up():
    timer = PhaseTimer()
    for seconds in (0.02, 0.03):
        with timer.timed("decode"):
            time.sleep(seconds)
    assert timer.seconds["decode"] == pytest.approx(0.05, abs=0.02)


def test_every_second_is_counted_once_and_for_the_innermost_phase():
    """20 ms of prefill, between 10 and 30 ms of a rollout."""
    timer = PhaseTimer()
    began = time.perf_counter()
    with timer.timed("rollout"):
        time.sleep(0.01)
        with timer.timed("prefill"):
            time.sleep(0.02)
        time.sleep(0.03)
    passed = time.perf_counter() - began
    assert timer.seconds["rollout"] >= 0.04
    assert timer.seconds["prefill"] >= 0.02
    assert sum(timer.seconds.values()) == pytest.approx(passed, abs=1e-3)


def test_time_between_phases_is_nobodys():
    timer = PhaseTimer()
    with timer.timed("a"):
        pass
    time.sleep(0.05)
    with timer.timed("b"):
        pass
    assert sum(timer.seconds.values()) < 0.02


def test_a_phase_that_fails_is_counted_and_over():
    timer = PhaseTimer()
    with pytest.raises(KeyError), timer.timed("outer"), timer.timed("inner"):
        raise KeyError
    time.sleep(0.05)
    with timer.timed("next"):
        pass
    assert list(timer.seconds) == ["outer", "inner", "next"]
    assert sum(timer.seconds.values()) < 0.02


def test_nobody_has_to_watch():
    with timed(None, "decode"):
        pass
