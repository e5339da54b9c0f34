"""Evaluate: `python eval.py stage=benchmark`; `--help` lists the rest."""

import signal
from functools import partial

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # else a traceback of imports, until `start` hears

from runtime.console import importing, run_to_exit, say, start
from runtime.loggers import tell_unsent

STAGES = ("preview", "probe", "audit", "clean", "benchmark", "compare", "push", "runs")


def main() -> None:
    """Check the command line and what it names; only then pay for importing what a stage needs."""
    config = start(STAGES)
    tell_unsent(config)
    with importing():
        from datamodules.preflight import check_before  # noqa: PLC0415 - help does without arrays
    run_to_exit(partial(check_before, config), config)
    with importing():
        match config.stage:
            case "preview":
                from training.preview.stage import preview as evaluate  # noqa: PLC0415
            case "probe":
                from evaluation.probing.stage import probe as evaluate  # noqa: PLC0415 - torch takes seconds
            case "audit":
                from evaluation.auditing.stage import audit as evaluate  # noqa: PLC0415 - this one does without
            case "clean":
                from evaluation.auditing.clean import clean as evaluate  # noqa: PLC0415
            case "compare":
                from evaluation.benchmarking.compare import compare as evaluate  # noqa: PLC0415
            case "push":
                from publishing.stage import push as evaluate  # noqa: PLC0415
            case "runs":
                from evaluation.runs import list_runs as evaluate  # noqa: PLC0415
            case _:
                from evaluation.benchmarking.stage import benchmark as evaluate  # noqa: PLC0415
    run_to_exit(lambda: say(evaluate(config)), config)


if __name__ == "__main__":
    run_to_exit(main)
