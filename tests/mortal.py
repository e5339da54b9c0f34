"""Nothing that a test starts outlives the tests, whatever ends those, be it SIGKILL.

A fixture that kills what it started does not run where the tests themselves are killed, as by a
limit of time. What it started then goes on; a run of many steps for hours.
"""

import signal

from runtime.stopping import end_with_parent


def mortal() -> None:
    """Let Linux kill this process with the one that started it; for `preexec_fn`, or after a fork.

    It holds for one process, not for those that it starts.
    """
    end_with_parent(signal.SIGKILL)
