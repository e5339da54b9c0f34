"""Begin a session of Weights & Biases: checked before a run starts, kept inside its directory.

All that is logged there stands in files of the run as well.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import wandb
from pydantic import ValidationError

from configs.credentials import is_called_key, refuse_keys
from configs.schema import Config
from runtime.runs import Run
from runtime.writing import write_text
from untrusted.servers import proxied, unreachable
from untrusted.terminal import first_line

LOCAL = ("offline", "dryrun", "disabled")
"""Modes of wandb that contact no server."""

SECONDS = 5.0
"""Time limit to reach a server; wandb itself tries for minutes."""

LAST = 60.0
"""Within which a server must have taken what is left at the end; wandb itself tries for days. What
it has not taken lies beside the run, for `wandb sync`."""

WAY_OUT = (
    "set WANDB_MODE=offline to write the curves beside the run, for `wandb sync` later, or leave "
    "logger=wandb out."
)

FOLDERS = {
    "WANDB_DIR": "",
    "WANDB_DATA_DIR": "wandb/data",
    "WANDB_ARTIFACT_DIR": "wandb/artifacts",
    "WANDB_CACHE_DIR": "wandb/cache",
    "WANDB_CONFIG_DIR": "wandb/config",
}
"""Where wandb writes, inside a run directory: by itself it stages media below the home directory,
where quotas are small and another machine would look for them in vain."""


def keywords(config: Config, run: Run) -> dict[str, Any]:  # Any: what `wandb.init` takes
    """Prepare what a session is begun with; raise where its server is out of reach."""
    keep_inside(run.dir)
    _check_variables()
    if os.environ.get("WANDB_MODE", "online").lower() not in LOCAL:
        _check_server()
    return {
        "project": "earwitness",
        "name": run.dir.name,
        # Only the leader logs: two processes that begin at once would choose an id each.
        "id": None if run.lock is None else run_id(run),
        "config": asdict(config),
        # The address of a repository may hold a key.
        "settings": wandb.Settings(init_timeout=SECONDS, finish_timeout=LAST, disable_git=True),
    }


@contextmanager
def beginning(run: Run) -> Iterator[None]:
    """Turn what wandb refuses at the beginning into one sentence."""
    try:
        yield
    except (wandb.errors.Error, OSError) as error:
        raise ValueError(
            f"wandb cannot begin the curves of {run.dir} ({first_line(error)}), but "
            f"logger=wandb asks for them: mend that, or {WAY_OUT}"
        ) from error


def keep_inside(run_dir: Path) -> None:
    """Have wandb write into the run directory alone.

    Settings that a user keeps are read where they are, as they may hold a key.
    """
    own = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    for name, folder in FOLDERS.items():
        if name != "WANDB_CONFIG_DIR" or not (own / "settings").is_file():
            os.environ[name] = str((run_dir / folder).resolve())


def run_id(run: Run) -> str:
    """Return the id of a run directory: a resumed run continues its own curves.

    In a sweep it is the one that the agent names, which wandb takes whatever it is told.
    """
    file, given = run.dir / "wandb.id", os.environ.get("WANDB_RUN_ID")
    if given and os.environ.get("WANDB_SWEEP_ID"):
        write_text(file, given)
    elif not file.exists():
        readable = re.sub(r"[^\w.-]", "_", run.dir.name)[:100]
        write_text(file, f"{readable}-{secrets.token_hex(4)}")
    name = file.read_bytes().decode(errors="backslashreplace")
    if not re.fullmatch(r"[\w.-]{1,128}", name):
        raise ValueError(
            f"{file} is damaged (it begins with {name[:20]!r}), but it names the curves that a "
            "resumed run goes on with: restore it, or delete it, and new curves begin."
        )
    return name


def _check_variables() -> None:
    """Raise where a variable of wandb holds a key, which it would write down, or is not read."""
    for name, value in os.environ.items():
        if name.startswith("WANDB_") and not is_called_key(name):
            refuse_keys(f"the environment variable {name}", value)
    try:
        wandb.setup()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(
            f"wandb cannot read its settings ({wrong}), but variables such as WANDB_MODE and "
            "WANDB_BASE_URL are among them: correct or unset the one that is meant."
        ) from None


def _check_server() -> None:
    """Check that a server can be reached and accepts the key, before wandb tries for minutes."""
    address = str(wandb.setup().settings.base_url)
    # Behind a proxy only wandb knows how to connect.
    if not proxied(address) and (reason := unreachable(address, SECONDS)):
        raise ValueError(
            f"{address} cannot be reached ({reason}), but logger=wandb sends metrics there: mend "
            f"the network or WANDB_BASE_URL, or {WAY_OUT}"
        )
    try:
        # Without a prompt, which would wait for an answer as long as a terminal is open.
        refused = None if wandb.login(prompt=False) else "no API key is configured"
    except wandb.errors.Error as error:
        refused = first_line(error)
    if refused:
        raise ValueError(
            f"wandb cannot log in at {address} ({refused}), but logger=wandb sends metrics there: "
            "run `wandb login` or set WANDB_API_KEY, and see that the server answers; or "
            f"{WAY_OUT}"
        )
