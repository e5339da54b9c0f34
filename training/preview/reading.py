"""Read single questions as the training reads them, and measure what the model gets of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.batch import Batch
from datamodules.loading.streams import BatchStream
from datamodules.media.decoders import SAMPLE_RATE
from datamodules.media.files import Decoded
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.templates import user_turn
from datamodules.sample import Media


@dataclass(frozen=True, kw_only=True)
class Run:
    """Tokens in a row that are shown as one: words, or one special token so many times."""

    kind: Literal["text", "special", "media"]
    text: str
    ids: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class ReadQuestion:
    """One question as a batch of its own, with its media as they were before the processor."""

    place: int
    batch: Batch
    media: Sequence[tuple[Media, Decoded]]
    """In the order in which the prompt shows them."""

    prompt: Sequence[Run]
    learned: Sequence[Run]
    """What the loss is computed on; empty where the completion is sampled."""

    images: Sequence[NDArray[np.uint8]]
    """Pictures as the towers get them. Each (1, height, width, 3)"""

    films: Sequence[NDArray[np.uint8]]
    """Frames of videos likewise. Each (frames, height, width, 3)"""

    views: Mapping[str, Sequence[Run]] = field(default_factory=dict)
    """The prompt as other views show it."""

    @property
    def sizes(self) -> dict[str, float]:
        """Sizes by what is measured; what the question does not have is left out. Media tokens are
        among the prompt's."""
        heard = self.media if self.batch.audio is not None else ()
        clips = [len(item.audio) for _, item in heard if item.audio is not None]
        shown = [frames[0] for frames in (*self.images, *self.films)]
        found = {
            "prompt tokens": count_tokens(self.prompt),
            "media tokens": count_tokens(run for run in self.prompt if run.kind == "media"),
            "learned tokens": count_tokens(self.learned),
            "seconds of sound": sum(clips) / SAMPLE_RATE,
            "pictures": len(self.images),
            "frames": sum(map(len, self.films)),
            "pixels of the largest": max((pixels[..., 0].size for pixels in shown), default=0),
        }
        return {name: float(size) for name, size in found.items() if size}


def count_tokens(runs: Iterable[Run]) -> int:
    """Count the tokens of runs."""
    return sum(len(run.ids) for run in runs)


def read_questions(
    stream: BatchStream, places: Iterable[int], encoder: PromptEncoder
) -> Iterator[ReadQuestion]:
    """Read questions one by one; those that cannot be read are set aside, as in training."""
    for place in places:
        batch = stream.read([int(place)], step=0)
        if batch is not None:
            yield ReadQuestion(
                place=int(place),
                batch=batch,
                media=_media(stream, batch),
                prompt=split_runs(batch.prompt_ids.tolist(), encoder),
                learned=split_runs(batch.targets[0], encoder) if batch.targets else (),
                images=pixels_of(batch, "image", encoder),
                films=pixels_of(batch, "video", encoder),
                views={
                    name: split_runs(view.prompt_ids.tolist(), encoder)
                    for name, view in batch.views.items()
                },
            )


def _media(stream: BatchStream, batch: Batch) -> list[tuple[Media, Decoded]]:
    """List the media of a prompt in the order in which it shows them."""
    [sample], questions = batch.samples, stream.questions
    media, visible = questions.media(sample), questions.visible_media(sample)
    pieces = user_turn(sample, task=questions.task, roles=[item.role for item in media])
    order = [piece for piece in pieces if isinstance(piece, int)]
    return [(media[at], item) for at in order for item in visible[at] if isinstance(item, Decoded)]


def split_runs(ids: Sequence[int], encoder: PromptEncoder) -> list[Run]:
    """Split tokens into runs; the tokenizer's added tokens stand apart from words."""
    tokenizer, placeholders = encoder.tokenizer, {*encoder.placeholders.values()}
    added = {id_: token.content for id_, token in tokenizer.added_tokens_decoder.items()}
    groups: list[list[int]] = []
    for id_ in ids:
        last = groups[-1][-1] if groups else None
        if last is not None and (id_ == last or (id_ not in added and last not in added)):
            groups[-1].append(id_)
        else:
            groups.append([id_])
    runs = []
    for group in groups:
        special = added.get(group[0])
        if special is None:
            text = tokenizer.decode(group, clean_up_tokenization_spaces=False)
            runs.append(Run(kind="text", text=text, ids=group))
        else:
            kind: Literal["special", "media"] = "media" if special in placeholders else "special"
            runs.append(Run(kind=kind, text=special, ids=group))
    return runs


def spread(places: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Choose so many places evenly, the first and the last among them; 0 chooses all."""
    if not count or count >= len(places):
        return places
    return places[np.linspace(0, len(places) - 1, count).round().astype(np.int64)]


def first_places(stream: BatchStream) -> Iterator[int]:
    """Walk the questions in the order in which the training reads them first, each once."""
    seen = set[int]()
    for number in range(-(-len(stream.pool.places) // (stream.batch_size * stream.world))):
        for place in stream.indices(number):
            if place not in seen:
                seen.add(place)
                yield place


def pixels_of(
    batch: Batch, kind: Literal["image", "video"], encoder: PromptEncoder
) -> list[NDArray[np.uint8]]:
    """Put the patches of a batch together again: the pictures that the towers get, resized.

    Shapes: patches of n media -> n times (frames, height, width, 3)
    """
    values, grids = (
        (batch.images, batch.image_grid) if kind == "image" else (batch.videos, batch.video_grid)
    )
    if values is None or grids is None:
        return []
    parts = encoder.processor
    processor = parts.image_processor if kind == "image" else parts.video_processor
    merge, deep, side = (
        processor.merge_size,
        processor.temporal_patch_size,
        processor.patch_size,
    )
    mean, std = (
        torch.tensor(each).view(3, 1, 1) for each in (processor.image_mean, processor.image_std)
    )
    made = []
    for patches, (time, rows, columns) in zip(
        values.split(grids.prod(1).tolist()), grids.tolist(), strict=True
    ):
        shape = (time, rows // merge, columns // merge, merge, merge, 3, deep, side, side)
        ordered = patches.view(shape).permute(0, 6, 5, 1, 3, 7, 2, 4, 8)
        frames = ordered.reshape(time * deep, 3, rows * side, columns * side)
        pixels = ((frames * std + mean) * 255).round().clamp(0, 255).byte()
        shown = pixels.permute(0, 2, 3, 1).numpy()  # (frames, height, width, 3)
        made.append(shown[:1] if kind == "image" else shown)  # an image is repeated in time
    return made
