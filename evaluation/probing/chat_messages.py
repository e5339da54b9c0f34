"""Write questions as chat messages of OpenAI's interface, and estimate the cost of sending them."""

import base64
import io
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from configs.inputs import Task
from configs.probing import ServerConfig
from datamodules.media.files import Decoded
from datamodules.prompts.templates import user_turn
from datamodules.sample import Sample

Message = dict[str, Any]  # JSON, as the interface wants it
Part = dict[str, Any]  # likewise

SAMPLE_RATE = 16_000


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One question as it is sent."""

    sample: Sample
    """With its options in the order of the messages, and named as there."""

    messages: list[Message]
    answers: int = 1
    first: int = 0
    """Number of the first answer; each has a draw of its own."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimated cost. Servers count media in different ways, so bills may differ."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """At most."""

    dollars: float = 0.0

    def __add__(self, other: "Estimate") -> "Estimate":
        return Estimate(**{name: value + vars(other)[name] for name, value in vars(self).items()})

    def __str__(self) -> str:
        price = f", about ${self.dollars:,.2f} at most" if self.dollars else ""
        return (
            f"{self.requests:,} requests: about {self.prompt_tokens:,} prompt tokens, "
            f"{self.completion_tokens:,} completion tokens at most{price}"
        )


def messages(
    sample: Sample,
    media: Sequence[Sequence[Decoded | str]],
    *,
    system_prompt: str = "",
    task: Task = "answer",
    show_question: bool = True,
    suffix: str = "",
) -> list[Message]:
    """Write a question as a chat, in the same order as for local models.

    Pictures are PNG and sound is WAV, inside the message. A video is its frames as pictures, then
    its sound: the standard interface has no video part, and every server takes these.

    Args:
        media: the visible parts of each of the sample's media, see `QuestionSet.visible_media`;
            text that replaces one has lines of its own.
    """
    parts: list[Part] = []
    replaced = False  # whether the last part is such text
    for piece in user_turn(sample, task=task, show_question=show_question, suffix=suffix):
        for item in [piece] if isinstance(piece, str) else media[piece]:
            if isinstance(item, Decoded):
                parts += _media_parts(item)
            elif parts and parts[-1]["type"] == "text":  # servers join texts in different ways
                apart = (replaced or not isinstance(piece, str)) and not item.startswith("\n")
                parts[-1]["text"] += "\n" * apart + item
            else:
                parts.append({"type": "text", "text": item})
            replaced = not isinstance(piece, str) and isinstance(item, str)
    lone = len(parts) == 1 and parts[0]["type"] == "text"  # text models take no lists
    chat: list[Message] = [{"role": "user", "content": parts[0]["text"] if lone else parts}]
    if system_prompt:
        chat.insert(0, {"role": "system", "content": system_prompt})
    return chat


def _media_parts(item: Decoded) -> Iterator[Part]:
    if item.image is not None:
        yield _picture(item.image)
    if item.frames is not None:
        yield from map(_picture, item.frames)
    if item.audio is not None:
        file = io.BytesIO()
        soundfile.write(file, item.audio, SAMPLE_RATE, format="WAV", subtype="PCM_16")
        yield {"type": "input_audio", "input_audio": {"data": _base64(file), "format": "wav"}}


def _picture(pixels: NDArray[np.uint8]) -> Part:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_base64(file)}"}}


def _base64(file: io.BytesIO) -> str:
    return base64.b64encode(file.getvalue()).decode()


def estimate(server: ServerConfig, requests: Iterable[ChatRequest], *, max_tokens: int) -> Estimate:
    """Estimate the cost: a token for 4 characters, 28 x 28 pixels or 40 ms of sound."""
    count = prompt = 0
    for request in requests:
        contents = [message["content"] for message in request.messages]
        count += request.answers
        prompt += request.answers * sum(map(_content_tokens, contents))
    completion = count * max_tokens
    dollars = prompt * server.dollars_per_million_input / 1e6
    dollars += completion * server.dollars_per_million_output / 1e6
    return Estimate(
        requests=count, prompt_tokens=prompt, completion_tokens=completion, dollars=dollars
    )


def check_budget(server: ServerConfig, total: Estimate) -> None:
    """Raise where the estimate exceeds the budget."""
    if server.budget is None:
        return
    if not server.dollars_per_million_input and not server.dollars_per_million_output:
        raise ValueError(
            f"probe.server.budget is ${server.budget:,.2f}, but without prices nothing can be held "
            "against it: set probe.server.dollars_per_million_input and _output, or no budget."
        )
    if total.dollars > server.budget:
        raise ValueError(
            f"{total}, but probe.server.budget allows ${server.budget:,.2f}, and nothing was sent: "
            "raise the budget, or lower probe.limit, probe.samples or data.media."
        )


def _content_tokens(content: str | list[Part]) -> int:
    if isinstance(content, str):
        return math.ceil(len(content) / 4)
    return sum(map(_part_tokens, content))


def _part_tokens(part: Part) -> int:
    if part["type"] == "text":
        return math.ceil(len(part["text"]) / 4)
    if part["type"] == "image_url":
        start = part["image_url"]["url"].partition(",")[2][:32]  # a PNG begins with its size
        width, height = struct.unpack(">II", base64.b64decode(start)[16:24])
        return math.ceil(width * height / 784)
    sound = len(base64.b64decode(part["input_audio"]["data"])) - 44  # without the WAV's header
    return math.ceil(sound / 2 * 25 / SAMPLE_RATE)
