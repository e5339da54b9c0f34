"""Kill a process in which Python no longer runs, so that it handles no signal.

Code in C may hold the interpreter lock for hours, and then no thread gets a turn, not even that of
`stopping.py`. Signals still reach a socket, where they lie unread; this process looks there.

    python watchdog.py PROCESS GRACE AGAIN SIGNAL...      with the socket as its standard input
"""

import os
import signal
import socket
import sys
import time

PAUSE = 0.05
"""Seconds from look to look while something lies there."""


def unheard(
    signals: socket.socket, watched: int, asking: set[int], grace: float, again: float
) -> bool:
    """Wait until signals have lain unread for too long; False once their process is gone.

    Args:
        watched: that process, which started this one.
        asking: numbers of those that ask a process to end; others may lie there as well.
        grace: seconds that one may lie there.
        again: seconds after which a second one ends the wait.
    """
    while signals.recv(1, socket.MSG_PEEK) and os.getppid() == watched:  # sleeps until there is one
        began = time.monotonic()
        while (count := len(asking_in(signals, asking))) and os.getppid() == watched:
            waited = time.monotonic() - began
            if waited >= grace or (count > 1 and waited >= again):
                return True
            time.sleep(PAUSE)
        time.sleep(PAUSE)
    return False


def asking_in(signals: socket.socket, asking: set[int]) -> list[int]:
    """List the signals that lie there and ask a process to end."""
    try:
        lying = signals.recv(64, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return []
    return [number for number in lying if number in asking]


def main(process: str, grace: str, again: str, *numbers: str) -> None:
    """Watch the process that started this one, and may be gone by now."""
    watched = int(process)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(
            number, signal.SIG_IGN
        )  # sent to the whole group; this one ends with the other
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as signals:
        late = unheard(signals, watched, {*map(int, numbers)}, float(grace), float(again))
    if late:
        print(
            "stopped by signal 9, as Python did not run any more and heard no other: the same "
            "command goes on from here",
            file=sys.stderr,
        )
        os.kill(watched, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
