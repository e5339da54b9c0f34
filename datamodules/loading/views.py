"""Batches that carry other views of their own questions, prompt by prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from datamodules.batch import Batch, View
from datamodules.loading.question_set import QuestionSet
from datamodules.media.ablation import MediaAblation


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """How a view differs from the data."""

    ablation: MediaAblation
    """What is withheld, and what replaces it."""

    video_max_frames: int = 0
    """Frames of a video, instead of `data.media.video_max_frames`; 0 is that."""


def make_view(questions: QuestionSet, showing: ViewSettings) -> QuestionSet:
    """Return the same questions as a view shows them."""
    if showing.video_max_frames:
        media = replace(questions.data.media, video_max_frames=showing.video_max_frames)
        questions = questions.with_media_budget(media)
    ablation = showing.ablation
    return questions.with_condition(
        ablation.condition, ablation.how, silence_seconds=ablation.silence_seconds
    )


def batch_with_views(
    questions: QuestionSet,
    views: Mapping[View, QuestionSet],
    indices: Sequence[int],
    *,
    step: int,
    with_targets: bool = False,
) -> Batch | None:
    """Pack the questions at `indices`, with their views.

    A question that one of them cannot show, as where a medium has no mismatch, is quarantined there
    and left out of all, so that they hold the same prompts in the same order. None where nothing
    is left.
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
