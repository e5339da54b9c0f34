"""Weights & Biases: seen to be there before a run costs anything, and never what a run ends of.

Whatever is shown there stands in `metrics.jsonl` and `rollouts.jsonl` of the run as well.
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

log = logging.getLogger(__name__)

LOCAL = ("offline", "dryrun", "disabled")
"""Modes of wandb that reach no server."""

SECONDS = 5.0
"""Within which a server must be reached; wandb itself tries for minutes."""

LAST = 60.0
"""Within which a server must have taken what is left at the end; wandb itself tries for days. What
it has not taken lies beside the run, for `wandb sync`."""

WAY_OUT = (
    "set WANDB_MODE=offline to write the curves beside the run, for `wandb sync` later, or leave "
    "logger=wandb out."
)


@final
class Curves(WandbLogger):
    """Show metrics as long as wandb takes them; what it does not take is told once."""

    failed = False

    # Any in this class: Lightning's interface
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Show the metrics of a step."""
        self._show(lambda: super(Curves, self).log_metrics(metrics, step))

    def log_table(self, *args: Any, **kwargs: Any) -> None:
        """Show a table."""
        self._show(lambda: super(Curves, self).log_table(*args, **kwargs))

    def finalize(self, status: str) -> None:
        """Hand over what is left."""
        self._show(lambda: super(Curves, self).finalize(status))

    def _show(self, show: Callable[[], None]) -> None:
        try:
            show()
        except Exception as error:  # whatever it is: a run is worth more than its curves
            if not self.failed:
                log.warning(
                    "wandb takes no more metrics (%s): the run goes on, and metrics.jsonl has all",
                    _first(error),
                )
            self.failed = True


def curves_of(config: Config, run: Run) -> Curves:
    """Begin, or go on with, the curves of a run; raise where wandb will not have them."""
    online = os.environ.get("WANDB_MODE", "online").lower() not in LOCAL
    if online:
        _reach()
    curves = Curves(
        project="earwitness",
        name=run.dir.name,
        id=_identity(run),
        save_dir=run.dir,
        config=asdict(config),
        # The address of a repository may hold a key.
        settings=wandb.Settings(init_timeout=SECONDS, finish_timeout=LAST, disable_git=True),
    )
    try:
        _ = curves.experiment  # in the process that leads; the others get a stand-in
    except (wandb.errors.Error, OSError) as error:
        raise ValueError(
            f"wandb cannot begin the curves of {run.dir} ({_first(error)}), but "
            f"logger=wandb asks for them: mend that, or {WAY_OUT}"
        ) from error
    return curves


def _identity(run: Run) -> str:
    """Keep one identity per run directory: a resumed run continues its own curves, no other's."""
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


def _reach() -> None:
    """See that there are a server and a key that it takes, before wandb tries for minutes."""
    address = str(wandb.setup().settings.base_url)
    # Behind a proxy, wandb knows the way, and this does not.
    if not proxied(address) and (reason := unreachable(address, SECONDS)):
        raise ValueError(
            f"{address} cannot be reached ({reason}), but logger=wandb sends metrics there: mend "
            f"the network or WANDB_BASE_URL, or {WAY_OUT}"
        )
    try:
        wandb.login()
    except wandb.errors.Error as error:
        raise ValueError(
            f"wandb has no key that it can use ({_first(error)}), but logger=wandb sends metrics "
            f"to its server: run `wandb login`, or set WANDB_API_KEY; or {WAY_OUT}"
        ) from error


def _first(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
