"""Evaluate: `python eval.py stage=benchmark`; `--help` lists the rest."""

import logging
import sys

from configs.load import main_config

STAGES = ("probe", "benchmark")


def main() -> None:
    """Check the command line first; only then pay for importing torch."""
    config = main_config(sys.argv[1:], STAGES)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Seconds of imports that --help does without.
    from benchmarking import benchmark  # noqa: PLC0415
    from probing import probe  # noqa: PLC0415

    try:
        if config.stage == "probe":
            probe(config)
        else:
            print(benchmark(config))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
