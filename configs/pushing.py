"""Settings of pushes: which repository of the hub gets a finished run's weights."""

import re
from dataclasses import dataclass, field
from typing import Literal

from configs.checks import named_once

REPOSITORY = re.compile(
    r"(?!.*(?:--|\.\.|\.git$))[A-Za-z\d][\w.-]{0,95}/[A-Za-z\d_][\w.-]{0,95}", re.ASCII
)
"""An id on the hub, as the hub itself restricts it."""


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """Weights that are uploaded, to where, and what their card shows."""

    to: str | None = None
    """Repository on the hub that gets the weights, as NAMESPACE/NAME; null pushes nothing. May be
    written as `--push-to-hub=NAMESPACE/NAME`."""

    private: bool = True
    """A repository that is made can be seen by its namespace alone; `false` makes a public one."""

    existing: bool = False
    """A repository that others have filled may be pushed to; its weights are replaced."""

    folder: Literal["export", "adapter"] = "export"
    """What of the run is pushed: whole weights, or with LoRA the adapters alone."""

    run: str = ""
    """Directory of the finished run that stage=push pushes."""

    benchmark: str = ""
    """Directory of a finished benchmark that scored the export; its scores go into the card."""

    datasets: list[str] = field(default_factory=list)
    """Ids of data sets on the hub that the card links as training data."""

    def __post_init__(self) -> None:
        for setting, name in (("to", self.to), *(("datasets", each) for each in self.datasets)):
            if name is not None and not REPOSITORY.fullmatch(name):
                raise ValueError(
                    f"push.{setting} is {name!r}, but what is on the hub is NAMESPACE/NAME, of "
                    "letters, digits, hyphens, underscores and dots: give the name of a user or an "
                    "organization, a slash, and the name that it should have."
                )
        if self.datasets:
            named_once("push", self, "datasets")
