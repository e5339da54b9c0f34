"""Batches that carry their own questions shown otherwise, prompt by prompt the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from datamodules.batch import Batch, View
from datamodules.loading.question_set import QuestionSet
from datamodules.media.ablation import Withholding


@dataclass(frozen=True, kw_only=True)
class Showing:
    """How a view differs from what the data show."""

    withheld: Withholding
    """What is taken away, and what stands in for it."""

    video_max_frames: int = 0
    """Frames of a video, instead of `data.media.video_max_frames`; 0 is that."""


def shown(questions: QuestionSet, showing: Showing) -> QuestionSet:
    """Show the same questions otherwise."""
    if showing.video_max_frames:
        media = replace(questions.data.media, video_max_frames=showing.video_max_frames)
        questions = questions.showing(media)
    withheld = showing.withheld
    return questions.under(
        withheld.condition, withheld.how, silence_seconds=withheld.silence_seconds
    )


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
