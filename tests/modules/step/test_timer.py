import time

import pytest

from modules.step.timer import PhaseTimer, timed


@pytest.fixture(autouse=True)
def sleep(monkeypatch):
    """A clock that stands but for what the test sleeps, whatever else the machine does."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return lambda seconds: now.append(now.pop() + seconds)


def test_laps_of_one_name_add_up(sleep):
    timer = PhaseTimer()
    for seconds in (0.02, 0.03):
        with timer.timed("decode"):
            sleep(seconds)
    assert timer.seconds == pytest.approx({"decode": 0.05})


def test_every_second_is_counted_once_and_for_the_innermost_phase(sleep):
    """20 ms of prefill, between 10 and 30 ms of a rollout."""
    timer = PhaseTimer()
    with timer.timed("rollout"):
        sleep(0.01)
        with timer.timed("prefill"):
            sleep(0.02)
        sleep(0.03)
    assert timer.seconds == pytest.approx({"rollout": 0.04, "prefill": 0.02})


def test_time_between_phases_is_nobodys(sleep):
    timer = PhaseTimer()
    with timer.timed("a"):
        pass
    sleep(0.05)
    with timer.timed("b"):
        pass
    assert timer.seconds == {"a": 0, "b": 0}


def test_a_phase_that_fails_is_counted_and_over(sleep):
    timer = PhaseTimer()
    with pytest.raises(KeyError), timer.timed("outer"), timer.timed("inner"):
        raise KeyError
    sleep(0.05)
    with timer.timed("next"):
        pass
    assert timer.seconds == {"outer": 0, "inner": 0, "next": 0}


def test_nobody_has_to_watch():
    with timed(None, "decode"):
        pass
