"""Log to Weights & Biases: checked before a run starts, and never the reason why a run ends.

All that is logged there stands in `metrics.jsonl` and `rollouts.jsonl` of the run as well.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from lightning.pytorch.loggers import WandbLogger

from configs.schema import Config
from datamodules.loading.question_set import QuestionSet
from evaluation.players import showcase, table
from runtime.preemption import warned
from runtime.runs import Run
from runtime.stopping import WARNING, code_of
from runtime.wandb_session import beginning, keywords
from training.callbacks.rollouts import QuestionLogger, QuestionRows
from training.callbacks.signs import WarningLogger
from untrusted.terminal import first_line

log = logging.getLogger(__name__)


@final
class Curves(WandbLogger, QuestionLogger, WarningLogger):
    """Log metrics to wandb; its errors are logged once and never end a run."""

    failed = False
    megabytes = 0.0
    """Most of the players in a table."""

    # Any in this class: Lightning's interface
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log the metrics of a step."""
        self._guard(lambda: super(Curves, self).log_metrics(metrics, step))

    def log_table(self, *args: Any, **kwargs: Any) -> None:
        """Log a table."""
        self._guard(lambda: super(Curves, self).log_table(*args, **kwargs))

    def log_questions(
        self, name: str, columns: Sequence[str], rows: QuestionRows, questions: QuestionSet
    ) -> None:
        """Log a table of questions with players of their media."""

        def log_it() -> None:
            assert self.save_dir is not None, "that of the run"
            with showcase(Path(self.save_dir), megabytes=self.megabytes) as shown:
                players = [shown.players(questions, sample) for sample, _ in rows]
                pairs = zip(rows, players, strict=True)
                laid = table(columns, [(row, own) for (_, more), own in pairs for row in more])
                super(Curves, self).log_metrics({name: laid})  # type: ignore[dict-item] # wandb takes any

        self._guard(log_it)

    def log_warning(self, text: str) -> None:
        """Alert whoever follows the run, and leave the words in its overview."""

        def log_it() -> None:
            self.experiment.alert(title="This run may learn nothing", text=text)
            self.experiment.summary["warning"] = text

        self._guard(log_it)

    def finalize(self, status: str) -> None:
        """Flush and close; of a run that was warned, have a sweep offer its parameters again."""
        self._guard(lambda: super(Curves, self).finalize(status))
        if warned() and self._experiment is not None:
            self._guard(self._preempted)

    def _preempted(self) -> None:
        self.experiment.mark_preempting()
        self.experiment.finish(exit_code=code_of(WARNING))

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
    curves = Curves(save_dir=run.dir, **keywords(config, run))
    curves.megabytes = config.wandb.media_megabytes
    with beginning(run):
        _ = curves.experiment  # on rank 0; the others get a stand-in
    return curves
