"""Name probes by the directory of the run that asked them, in place of their keys."""

from dataclasses import replace
from pathlib import Path

from configs.schema import Config

VOTERS = "voters.txt"
"""File that a probe leaves in its run directory: the keys that vote, one voter a line."""


def with_voters(config: Config) -> Config:
    """Replace `@DIRECTORY` by the keys that the probe there has left, in filters and audits.

    The run is the same, and has the same directory, as one that names the keys.
    """
    wanted, audit = config.data.contribution, config.audit
    filtering = replace(wanted, probes=_named(wanted.probes, "data.contribution.probes"))
    return replace(
        config,
        data=replace(config.data, contribution=filtering),
        audit=replace(audit, probes=_named(audit.probes, "audit.probes")),
    )


def _named(entries: list[str], setting: str) -> list[str]:
    return [
        voter
        for entry in entries
        for voter in (_voters(Path(entry[1:]), setting) if entry.startswith("@") else [entry])
    ]


def _voters(probe: Path, setting: str) -> list[str]:
    file = probe / VOTERS
    if not file.exists():
        raise ValueError(
            f"{file} is not there, but {setting} names the probe that is to leave it: let the "
            f"probe in {probe} run to its end, or name the voters with {setting}=[KEY,...]."
        )
    return file.read_text(errors="backslashreplace").split()
