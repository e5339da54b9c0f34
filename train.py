"""Train one stage: `python train.py stage=rlvr`; or a recipe: `python train.py recipe=vidground`.

`--help` lists the rest.
"""

import signal
import sys
from functools import partial

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # else a traceback of imports, until `start` hears

from configs.command import asks_recipe
from runtime.console import importing, run_to_exit, say, start, start_recipe

STAGES = ("sft", "rlvr", "distill", "prealign")


def main() -> None:
    """Check the command line and what it names; only then pay for importing torch and Lightning."""
    if asks_recipe(sys.argv[1:]):
        return follow_recipe()
    config = start(STAGES)
    with importing():
        from datamodules.preflight import check_before  # noqa: PLC0415 - help does without arrays
    run_to_exit(partial(check_before, config), config)
    with importing():
        from training.run import train  # noqa: PLC0415 - seconds that --help does without
    run_to_exit(partial(train, config), config)


def follow_recipe() -> None:
    """Run stages as processes of their own; this one never imports torch."""
    command = start_recipe()
    from recipes.running import follow  # noqa: PLC0415 - help does without what plans need

    follow(command, tell=say)


if __name__ == "__main__":
    run_to_exit(main)
