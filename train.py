"""Train one stage: `python train.py stage=rlvr`; `--help` lists the rest."""

import logging
import sys

from configs.load import main_config

STAGES = ("sft", "rlvr")


def main() -> None:
    """Check the command line first; only then pay for importing torch and Lightning."""
    config = main_config(sys.argv[1:], STAGES)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from training import train  # noqa: PLC0415 - seconds of imports that --help does without

    try:
        train(config)
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
