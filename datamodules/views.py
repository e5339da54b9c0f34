"""Batches that carry their own questions with media withheld, prompt by prompt the same."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from datamodules.batch import Batch, View
from datamodules.question_set import QuestionSet


def batch_with_views(
    questions: QuestionSet,
    views: Mapping[View, QuestionSet],
    indices: Sequence[int],
    *,
    step: int,
    with_targets: bool = False,
) -> Batch | None:
    """Pack the questions at `indices` as `questions` shows them, and beside it as views do.

    What one of them cannot show, as where a medium has no donor, is quarantined there and left out
    of all, so that they hold the same prompts in the same order. None where nothing is left.
    """
    if not views:
        return questions.batch(indices, step=step, with_targets=with_targets)
    whole = []
    for index in indices:
        batch = questions.batch([index], step=step, with_targets=with_targets)
        if batch is None:
            continue
        others = {
            name: other
            for name, view in views.items()
            if (other := view.batch([index], step=step)) is not None
        }
        if len(others) == len(views):
            whole.append(replace(batch, views=others))
    return Batch.concat(whole) if whole else None
