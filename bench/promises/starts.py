"""Take run directories in many processes at one moment; without torch, so that forks are cheap."""

import os
import signal
from pathlib import Path

from configs.load import load_config
from runtime.runs import open_run
from tests.mortal import mortal


def claim_at_once(root: Path, starts: int) -> set[str]:
    """Fork processes that wait for one moment, take a directory each, and hold it until all have
    one; return the directories."""
    config = load_config(["stage=sft", f"run.root={root}"], ("sft",))
    (ready, go), (listen, tell) = os.pipe(), os.pipe()
    started = []
    for _ in range(starts):
        if (child := os.fork()) == 0:
            mortal()
            os.close(go)
            os.read(ready, 1)  # returns once the other end is closed
            try:
                run = open_run(config)
                os.write(tell, f"{run.dir}\n".encode())
            except (OSError, ValueError):
                os.write(tell, b"\n")
            signal.pause()
        started.append(child)
    os.close(go)
    with open(listen) as told:
        taken = {next(told).strip() for _ in started}
    for child in started:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return taken - {""}
