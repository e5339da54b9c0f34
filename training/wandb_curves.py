"""Log to Weights & Biases: checked before a run starts, and never the reason why a run ends.

All that is logged there stands in `metrics.jsonl` and `rollouts.jsonl` of the run as well.
"""

import logging
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, final

import wandb
from lightning.pytorch.loggers import WandbLogger

from configs.schema import Config
from runtime.runs import Run
from runtime.writing import write_text
from untrusted.servers import proxied, unreachable
from untrusted.terminal import first_line

log = logging.getLogger(__name__)

LOCAL = ("offline", "dryrun", "disabled")
"""Modes of wandb that contact no server."""

PLACES = ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR")
"""Variables that say where wandb leaves files beside its curves; by default below HOME."""

SECONDS = 5.0
"""Time limit to reach a server; wandb itself tries for minutes."""

LAST = 60.0
"""Within which a server must have taken what is left at the end; wandb itself tries for days. What
it has not taken lies beside the run, for `wandb sync`."""

WAY_OUT = (
    "set WANDB_MODE=offline to write the curves beside the run, for `wandb sync` later, or leave "
    "logger=wandb out."
)


@final
class Curves(WandbLogger):
    """Log metrics to wandb; its errors are logged once and never end a run."""

    failed = False

    # Any in this class: Lightning's interface
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log the metrics of a step."""
        self._guard(lambda: super(Curves, self).log_metrics(metrics, step))

    def log_table(self, *args: Any, **kwargs: Any) -> None:
        """Log a table."""
        self._guard(lambda: super(Curves, self).log_table(*args, **kwargs))

    def finalize(self, status: str) -> None:
        """Flush and close."""
        self._guard(lambda: super(Curves, self).finalize(status))

    def _guard(self, log_it: Callable[[], None]) -> None:
        try:
            log_it()
        except Exception as error:  # whatever it is: a run is worth more than its curves
            if not self.failed:
                log.warning(
                    "wandb takes no more metrics (%s): the run goes on, and metrics.jsonl has all",
                    first_line(error),
                )
            self.failed = True


def curves_of(config: Config, run: Run) -> Curves:
    """Start or resume the curves of a run; raise where wandb refuses."""
    for name in PLACES:
        os.environ.setdefault(name, str(run.dir.resolve() / "wandb"))
    online = os.environ.get("WANDB_MODE", "online").lower() not in LOCAL
    if online:
        _check_server()
    curves = Curves(
        project="earwitness",
        name=run.dir.name,
        id=_run_id(run),
        save_dir=run.dir,
        config=asdict(config),
        # The address of a repository may hold a key.
        settings=wandb.Settings(init_timeout=SECONDS, finish_timeout=LAST, disable_git=True),
    )
    try:
        _ = curves.experiment  # on rank 0; the others get a stand-in
    except (wandb.errors.Error, OSError) as error:
        raise ValueError(
            f"wandb cannot begin the curves of {run.dir} ({first_line(error)}), but "
            f"logger=wandb asks for them: mend that, or {WAY_OUT}"
        ) from error
    return curves


def _run_id(run: Run) -> str:
    """Return the id of a run directory: a resumed run continues its own curves."""
    file = run.dir / "wandb.id"
    if not file.exists():
        write_text(file, f"{run.dir.name}-{secrets.token_hex(4)}")
    name = file.read_bytes().decode(errors="backslashreplace")
    if not re.fullmatch(r"[\w.-]{1,128}", name):
        raise ValueError(
            f"{file} is damaged (it begins with {name[:20]!r}), but it names the curves that a "
            "resumed run goes on with: restore it, or delete it, and new curves begin."
        )
    return name


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
        wandb.login()
    except wandb.errors.Error as error:
        raise ValueError(
            f"wandb has no key that it can use ({first_line(error)}), but logger=wandb sends "
            f"metrics to its server: run `wandb login`, or set WANDB_API_KEY; or {WAY_OUT}"
        ) from error
