"""Train one stage: `python train.py stage=rlvr`; `--help` lists the rest."""

from console import leave, quiet, start

STAGES = ("sft", "rlvr")


def main() -> None:
    """Check the command line first; only then pay for importing torch and Lightning."""
    config = start(STAGES)
    from training import train  # noqa: PLC0415 - seconds of imports that --help does without

    quiet()
    try:
        train(config)
    except ValueError as error:
        leave(error)


if __name__ == "__main__":
    main()
