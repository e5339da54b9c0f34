"""Count the tokens of questions without torch, so that a plan is shown at once.

The same words, template and tokenizer as `datamodules.prompts.encoder`, and for media the
arithmetic of the processors that Qwen2.5-Omni's renderer calls; a test compares the two. Of other
models, lengths stay unknown.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import islice
from math import ceil, floor, sqrt
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from configs.ablation import LEFT, Condition, Part
from configs.inputs import Task
from configs.schema import Config, MediaConfig
from datamodules.media.budgets import shared_budget
from datamodules.media.files import Decoded, MediaError, decode
from datamodules.media.files import measure as size_of
from datamodules.prompts.templates import target_text, user_turn
from datamodules.sample import AnswerWith, Media, Sample
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.formats import format_of
from datamodules.sources.manifest_files import manifest_path
from datamodules.sources.reader import Reader
from datamodules.sources.row_files import count_rows, read_rows
from datamodules.sources.rows import digests, to_sample
from pretrained.chat_template import render
from pretrained.settings import check_settings
from pretrained.spelling import open_tokenizer, spelling

SAMPLED = 32
"""Questions that a mean is taken over, evenly spread over those asked."""

COUNTED = ("qwen2_5_omni", "qwen2_5_omni_thinker")
"""Types of models whose tokens are counted here."""


class Unmeasured(Exception):
    """Why a length cannot be known before the run."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Mean tokens of a question."""

    prompt: float
    target: float
    """Of what imitation would learn from it."""

    n: int
    """Questions measured."""


def count_questions(config: Config, split: str, limit: int = 0) -> int:
    """Count the rows of manifests that are joined by `+`; seldom is a row several questions."""
    rows = sum(count for _, count in _manifests(config.data.root, config.data.embedded, split))
    return min(rows, limit) if limit else rows


def measure(config: Config, split: str, condition: Condition = "full", limit: int = 0) -> Lengths:
    """Measure some questions as the step of this configuration would ask them."""
    model, data = config.model, config.data
    counter = _counter(_directory(config), model.answer_with, model.system_prompt)
    rows = count_questions(config, split, limit)
    manifests = _manifests(data.root, data.embedded, split)
    root, outside = Path(data.root), data.outside_root
    samples = _samples(root, manifests, rows, data.format, tuple(data.verifiers), outside)
    return _measure(counter, root, samples, data.media, data.task, condition, split, outside)


@cache
def _measure(
    counter: "_Counter",
    root: Path,
    samples: Sequence[Sample],
    media: MediaConfig,
    want: Task,
    condition: Condition,
    split: str,
    outside: bool,
) -> Lengths:
    """Measure questions once for all steps that ask them alike."""
    measured = []
    for sample in samples:
        with suppress(MediaError):  # such a question is quarantined when the step runs
            sizes = [size_of(root, item, media, outside_root=outside) for item in sample.media]
            budget = shared_budget(sizes, media)
            read = partial(decode, root, budget=budget, outside_root=outside)
            measured.append(counter.lengths(sample, read, want, condition))
    if not measured:
        raise Unmeasured(f"no question of {split} can be read")
    n = len(measured)
    prompts, targets = zip(*measured, strict=True)
    return Lengths(prompt=sum(prompts) / n, target=sum(targets) / n, n=n)


@lru_cache(maxsize=8)
def _manifests(root: str, embedded: bool, split: str) -> tuple[tuple[Path, int], ...]:
    """List the files that are read one after the other, each with how many rows it has."""
    paths = [manifest_path(Path(root), name) for name in split.split("+")]
    for path in paths:
        if not path.exists():
            made = ", which is made on first use" if embedded else ""
            raise Unmeasured(f"there is no {path}{made}")
    return tuple((path, count_rows(path)) for path in paths)


@lru_cache(maxsize=8)
def _samples(
    root: Path,
    manifests: tuple[tuple[Path, int], ...],
    rows: int,
    format: str,
    verifiers: tuple[str, ...],
    outside: bool,
) -> tuple[Sample, ...]:
    """Read some of the first `rows`; those that cannot be read are quarantined in the run."""
    samples, every = [], max(1, -(-rows // SAMPLED))
    digest = digests(root, outside_root=outside)
    for path, count in manifests:
        reader = Reader(path, root, format_of(path, format))
        for found in islice(read_rows(path, every=every), -(-min(rows, count) // every)):
            for row in reader.questions(found):
                with suppress(RowError, MediaError):
                    if not isinstance(row, RowError):
                        read = partial(to_sample, digest=digest, source=path.stem)
                        samples.append(read(row, verifiers=verifiers))
        rows -= min(rows, count)
    return tuple(samples)


def _directory(config: Config) -> Path:
    """Find the tokenizer: weights that a recipe makes have that of the model."""
    for name in (config.init_from, config.model.path):
        if name is not None and (Path(name) / "tokenizer.json").is_file():
            return Path(name)
    raise Unmeasured(f"{config.model.path} is not a directory with a tokenizer.json")


@final
class _Counter:
    """The tokenizer, the chat template and the processors' numbers of one model."""

    def __init__(self, path: Path, answer_with: AnswerWith, system_prompt: str) -> None:
        self.named = str(path)
        settings, template = check_settings(path), path / "chat_template.jinja"
        lacking = {"config.json", "processor_config.json"} - settings.keys()
        lacking |= set() if template.is_file() else {template.name}
        for name in sorted(lacking):
            raise Unmeasured(f"{path} has no {name}")
        if (kind := settings["config.json"].get("model_type")) not in COUNTED:
            raise Unmeasured(f"{path} is of type {kind}, whose tokens are counted only as it runs")
        self.tokenizer = open_tokenizer(path)
        self.template = template.read_text(errors="replace")
        self.processors = settings["processor_config.json"]
        self.answer_with: AnswerWith = answer_with
        self.system_prompt = system_prompt

    def lengths(
        self, sample: Sample, read: Callable[[Media], Decoded], want: Task, condition: Condition
    ) -> tuple[int, int]:
        """Count the tokens of a question's prompt, and of what imitation would learn from it."""
        left = LEFT[condition]
        items = [] if want == "answer_from_description" else sample.media
        shown = [self._shown(read(item), left) for item in items]
        sample = replace(sample, answer_with=self.answer_with)
        pieces = user_turn(sample, task=want, show_question="text" in left)
        content: list[dict[str, str]] = []
        for piece in pieces:
            if isinstance(piece, str):
                content.append({"type": "text", "text": piece})
            else:
                content += [{"type": kind} for kind, _ in shown[piece]]
        placeholders = sum(tokens - 1 for medium in shown for _, tokens in medium)
        return self._count(self._rendered(content)) + placeholders, self._target(sample, want)

    def _rendered(self, content: list[dict[str, str]]) -> str:
        chat: list[dict[str, object]] = [{"role": "user", "content": content}]
        if self.system_prompt:
            said = [{"type": "text", "text": self.system_prompt}]
            chat = [{"role": "system", "content": said}, *chat]
        return render(self.template, chat, named=self.named, special={})

    def _count(self, text: str) -> int:
        with spelling(f"a text for {self.named}"):
            return len(self.tokenizer.encode(text, add_special_tokens=False))

    def _target(self, sample: Sample, want: Task) -> int:
        """Count as `PromptEncoder.target` does, with the token that ends the turn."""
        if want == "describe":
            return self._count(sample.evidence) + 1
        own = sample if want == "answer" else replace(sample, completion="")
        return self._count(target_text(own)) + 1

    def _shown(self, item: Decoded, left: frozenset[Part]) -> list[tuple[str, int]]:
        """List what of a medium is shown, as a template names it, with its tokens."""
        shown = []
        if item.image is not None and "visual" in left:
            shown.append(("image", self._patches("image_processor", item.image)))
        if item.frames is not None and "visual" in left:
            steps = ceil(len(item.frames) / self._of("video_processor", "temporal_patch_size"))
            shown.append(("video", steps * self._patches("video_processor", item.frames[0])))
        if item.audio is not None and "audio" in left:
            frames = ceil(len(item.audio) / self._of("feature_extractor", "hop_length"))
            shown.append(("audio", ((frames - 1) // 2 + 1 - 2) // 2 + 1))
        return shown

    def _patches(self, processor: str, picture: NDArray[np.uint8]) -> int:
        """Count the tokens of a picture after it is scaled to whole patches."""
        height, width, _ = picture.shape
        side = self._of(processor, "patch_size") * self._of(processor, "merge_size")
        least, most = (self._of(processor, "size", e) for e in ("shortest_edge", "longest_edge"))
        rows, columns = round(height / side), round(width / side)
        if rows * columns * side**2 > most:
            scale = sqrt(height * width / most)
            rows = max(1, floor(height / scale / side))
            columns = max(1, floor(width / scale / side))
        elif rows * columns * side**2 < least:
            scale = sqrt(least / (height * width))
            rows, columns = ceil(height * scale / side), ceil(width * scale / side)
        return rows * columns

    def _of(self, *names: str) -> int:
        """Look a number of a processor up."""
        number: Any = self.processors  # what a JSON file holds
        for name in names:
            number = number.get(name) if isinstance(number, dict) else None
        if not isinstance(number, int) or number < 1:
            raise ValueError(
                f"{self.named}/processor_config.json gives {'.'.join(names)} as {number!r}, but it "
                "is a number of pixels, frames or samples: fetch the file again, or name another "
                "model."
            )
        return number


_counter = lru_cache(maxsize=8)(_Counter)
