"""Evaluate: `python eval.py stage=benchmark`; `--help` lists the rest."""

from console import leave, quiet, start

STAGES = ("probe", "benchmark")


def main() -> None:
    """Check the command line first; only then pay for importing torch."""
    config = start(STAGES)
    # Seconds of imports that --help does without.
    from benchmarking import benchmark  # noqa: PLC0415
    from probing import probe  # noqa: PLC0415

    quiet()
    try:
        print(probe(config) if config.stage == "probe" else benchmark(config))
    except ValueError as error:
        leave(error)


if __name__ == "__main__":
    main()
