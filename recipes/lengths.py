"""Count the tokens of questions without loading torch: a plan is shown at once.

The same words, template and tokenizer as `datamodules.prompts`, and for media the arithmetic of
the processors that it calls; a test compares the two.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from math import ceil, floor, sqrt
from pathlib import Path
from typing import Any, final

import numpy as np
from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from numpy.typing import NDArray
from tokenizers import Tokenizer

from configs.ablation import LEFT, Condition, Part
from configs.inputs import Ask
from configs.schema import Config, MediaConfig
from datamodules.media import Decoded, MediaError, decode
from datamodules.sample import Sample
from datamodules.sources.answers import RowError
from datamodules.sources.manifest import to_sample
from datamodules.wording import AnswerWith, turn

SAMPLED = 32
"""Questions that a mean is taken over, evenly spread over those asked."""


Row = tuple[str, str]
"""A line of a manifest, and the manifest's name."""


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
    """Count the rows of manifests that are joined by `+`."""
    return len(_rows(config.data.root, config.data.embedded, split, limit))


def measure(config: Config, split: str, condition: Condition = "full", limit: int = 0) -> Lengths:
    """Measure some questions as the step of this configuration would ask them."""
    model, data = config.model, config.data
    counter = _counter(_directory(config), model.answer_with, model.system_prompt)
    rows = _rows(data.root, data.embedded, split, limit)
    every = -(-len(rows) // SAMPLED)
    chosen = tuple(rows[::every])
    return _measure(counter, Path(data.root), chosen, data.media, data.ask, condition, split)


@cache
def _measure(
    counter: "_Counter",
    root: Path,
    rows: Sequence[Row],
    media: MediaConfig,
    want: Ask,
    condition: Condition,
    split: str,
) -> Lengths:
    """Measure questions once for all steps that ask them alike."""
    measured = []
    for sample in _samples(root, rows):
        with suppress(MediaError):  # such a question is quarantined when the step runs
            measured.append(counter.lengths(sample, root, media, want, condition))
    if not measured:
        raise Unmeasured(f"no question of {split} can be read")
    n = len(measured)
    prompts, targets = zip(*measured, strict=True)
    return Lengths(prompt=sum(prompts) / n, target=sum(targets) / n, n=n)


@lru_cache(maxsize=8)
def _rows(root: str, embedded: bool, split: str, limit: int) -> Sequence[Row]:
    rows: list[Row] = []
    for name in split.split("+"):
        path = Path(root) / f"{name}.jsonl"
        if not path.is_file():
            made = ", which is made on first use" if embedded else ""
            raise Unmeasured(f"there is no {path}{made}")
        with path.open(encoding="utf-8", errors="replace") as lines:
            rows += [(line, name) for line in lines if line.strip()]
    return rows[: limit or None]


def _samples(root: Path, rows: Sequence[Row]) -> Iterator[Sample]:
    """Read rows; those that cannot be read are quarantined when the step runs."""
    for line, source in rows:
        try:
            yield to_sample(json.loads(line), root=root, source=source)
        except (RowError, MediaError, ValueError):
            continue


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
        self.tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        self.template = _template(path)
        self.processors = _processors(path)
        self.answer_with: AnswerWith = answer_with
        self.system_prompt = system_prompt

    def lengths(
        self, sample: Sample, root: Path, media: MediaConfig, want: Ask, condition: Condition
    ) -> tuple[int, int]:
        """Count the tokens of a question's prompt, and of what imitation would learn from it."""
        left = LEFT[condition]
        items = [] if want == "told" else sample.media
        shown = [self._shown(decode(root, item, media), left) for item in items]
        pieces = turn(sample, answer_with=self.answer_with, want=want, ask="text" in left)
        content = [
            part
            for piece in pieces
            for part in (
                [{"type": "text", "text": piece}]
                if isinstance(piece, str)
                else [{"type": kind} for kind, _ in shown[piece]]
            )
        ]
        placeholders = sum(tokens - 1 for medium in shown for _, tokens in medium)
        return self._count(self._rendered(content)) + placeholders, self._target(sample, want)

    def _rendered(self, content: list[dict[str, str]]) -> str:
        chat: list[dict[str, object]] = [{"role": "user", "content": content}]
        if self.system_prompt:
            said = [{"type": "text", "text": self.system_prompt}]
            chat = [{"role": "system", "content": said}, *chat]
        return self.template.render(messages=chat, add_generation_prompt=True)

    def _count(self, text: str) -> int:
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def _target(self, sample: Sample, want: Ask) -> int:
        """Count as `PromptEncoder.target` does, with the token that ends the turn."""
        if want == "evidence":
            return self._count(sample.evidence) + 1
        if want == "answer" and sample.completion:
            return self._count(sample.completion) + 1
        answer = sample.answer
        if sample.options and self.answer_with == "text":
            answer = sample.options[sample.letters.index(answer)]
        return self._count(f"<answer>{answer}</answer>") + 1

    def _shown(self, item: Decoded, left: frozenset[Part]) -> list[tuple[str, int]]:
        """List what of a medium is shown, as a template names it, with its tokens."""
        shown = []
        if item.image is not None and "visual" in left:
            shown.append(("image", self._patches("image_processor", item.image)))
        if item.frames is not None and "visual" in left:
            steps = ceil(
                len(item.frames) / self.processors["video_processor"]["temporal_patch_size"]
            )
            shown.append(("video", steps * self._patches("video_processor", item.frames[0])))
        if item.audio is not None and "audio" in left:
            frames = ceil(len(item.audio) / self.processors["feature_extractor"]["hop_length"])
            shown.append(("audio", ((frames - 1) // 2 + 1 - 2) // 2 + 1))
        return shown

    def _patches(self, processor: str, picture: NDArray[np.uint8]) -> int:
        """Count the tokens of a picture after it is scaled to whole patches."""
        settings = self.processors[processor]
        height, width, _ = picture.shape
        side = settings["patch_size"] * settings["merge_size"]
        least, most = (settings["size"][edge] for edge in ("shortest_edge", "longest_edge"))
        rows, columns = round(height / side), round(width / side)
        if rows * columns * side**2 > most:
            scale = sqrt(height * width / most)
            rows = max(1, floor(height / scale / side))
            columns = max(1, floor(width / scale / side))
        elif rows * columns * side**2 < least:
            scale = sqrt(least / (height * width))
            rows, columns = ceil(height * scale / side), ceil(width * scale / side)
        return rows * columns


@lru_cache(maxsize=8)
def _counter(path: Path, answer_with: AnswerWith, system_prompt: str) -> _Counter:
    return _Counter(path, answer_with, system_prompt)


def _template(path: Path) -> Template:
    """Read how a model wants its chats written."""
    file = path / "chat_template.jinja"
    if not file.is_file():
        raise Unmeasured(f"{path} has no chat_template.jinja")
    # Both as transformers sets them, in a sandbox as there: a template is somebody else's program.
    sandbox = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return sandbox.from_string(file.read_text())


def _processors(path: Path) -> Mapping[str, Any]:  # Any: what a JSON file holds
    """Read the numbers of image, video and audio processors."""
    file = path / "processor_config.json"
    if not file.is_file():
        raise Unmeasured(f"{path} has no processor_config.json")
    found: Mapping[str, Any] = json.loads(file.read_text())
    return found
