"""The words around a question: plain Python, for models in this process and behind an endpoint."""

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import get_args

from configs.inputs import Task
from datamodules.sample import LETTERS, AnswerType, AnswerWith, Role, Sample

INSTRUCTIONS = {
    "letter": "Answer with the letter in <answer></answer>.",
    "choice": "Answer with an option in <answer></answer>.",
    "number": "Answer with a number in <answer></answer>.",
    "set": "Answer with a list in <answer></answer>.",
    "yes_no": "Answer yes or no in <answer></answer>.",
    "text": "Answer in <answer></answer>.",
    "math": "Answer with an expression in <answer></answer>.",
    "ocr": "Answer with the text that is written there in <answer></answer>.",
    "regression": "Answer with a number in <answer></answer>.",
}
"""What each type of question asks for; part of a probe's identity, so a change misses the cache."""

DESCRIBE = (
    "Describe what the question turns on, for someone who sees and hears nothing. Do not answer it."
)
"""What is asked for in place of an answer where evidence is wanted."""

OPEN, CLOSE = "<answer>", "</answer>"

SUFFIXES: Mapping[str, str] = {
    "plain": "",
    "vidground": (
        "Based on the question and options provided, use your knowledge and common sense to "
        "determine the most likely correct answer."
    ),
    "anti_refusal": (
        "The video and subtitles are not available. Based only on the question and options, you "
        "must choose the most plausible answer. If unsure, make your best guess. Do not refuse to "
        "answer."
    ),
}
"""What is said below a question of which something is withheld, word for word as VidGround
(arXiv 2604.05117) says it."""


def asked(sample: Sample) -> str:
    """Write a question and its options, and nothing around them."""
    return "\n".join((sample.question, *_options(sample)))


def _options(sample: Sample) -> list[str]:
    """Write the options, behind their letters where these are to be answered."""
    if sample.answer_with == "text":
        return list(sample.options)
    return [
        f"{letter}. {text}" for letter, text in zip(sample.letters, sample.options, strict=True)
    ]


def turn(
    sample: Sample,
    *,
    want: Task = "answer",
    ask: bool = True,
    suffix: str = "",
    roles: Sequence[Role] | None = None,
) -> list[str | int]:
    """Lay out the user's turn: its texts, and indices of its media where they are shown.

    Media come first, except those that are options, which follow the text of theirs. The suffix
    stands below the options; the instruction is last, as it is in every other prompt. How
    VidGround put the two together is not published.

    Args:
        want: the answer; the evidence, described; or the answer by evidence that is `told` in
            words. These stand last and the media nowhere, so that all that is told about one
            question begins alike.
        ask: whether the question itself is written; options and instruction are in any case.
        roles: those of the media, where they are not in the sample.
    """
    roles = [item.role for item in sample.media] if roles is None else roles
    roles = () if want == "answer_from_description" else roles
    pieces: list[str | int] = [at for at, role in enumerate(roles) if role == "context"]
    shown = [at for at, role in enumerate(roles) if role == "option"]
    text = sample.question if ask else ""
    for number, option in enumerate(_options(sample)):
        text += f"\n{option}"
        if number < len(shown):
            pieces += [text, shown[number]]
            text = ""
    told = f"Evidence: {sample.evidence}" if want == "answer_from_description" else ""
    below = (suffix, _instruction(sample, want), told)
    pieces.append(text + "".join(f"\n{line}" for line in below if line))
    if not ask:  # then the first text, wherever it stands, has no line above it
        first = next(at for at, piece in enumerate(pieces) if isinstance(piece, str))
        pieces[first] = str(pieces[first]).removeprefix("\n")
    return [piece for piece in pieces if piece != ""]


def _instruction(sample: Sample, want: Task) -> str:
    """Say what is wanted; nothing where the answer is free text, to be imitated as it is."""
    if want == "describe":
        return DESCRIBE
    if want == "answer" and sample.free:
        return ""
    lettered = sample.answer_type == "choice" and sample.answer_with == "letter"
    return INSTRUCTIONS["letter" if lettered else sample.answer_type]


def imitated(sample: Sample) -> str:
    """Write what is imitated: the question's own completion, else its answer in its tags.

    A completion that names the right option by a letter, where no letters are shown, names it by
    its text: what is imitated has to be right.
    """
    answer = f"{OPEN}{sample.named_answer}{CLOSE}"
    before, opened, rest = sample.completion.rpartition(OPEN)
    inside, closed, after = rest.partition(CLOSE)
    lettered = sample.answer_type == "choice" and sample.answer_with == "text"
    if lettered and opened and closed:
        shown = [f"{letter}. {sample.options[LETTERS.index(letter)]}" for letter in sample.right]
        if inside.strip() in (*sample.right, *shown):
            return f"{before}{answer}{after}"
    return sample.completion or answer


def specimen(answer_with: AnswerWith, want: Task = "answer") -> str:
    """Write a turn of every kind: whatever changes what `turn` writes changes this text."""
    turns = [
        turn(
            Sample(
                id="",
                question="question",
                options=options,
                answer=completion or "answer",
                answer_type=answer_type,
                completion=completion,
                evidence="evidence",
                answer_with=answer_with,
                source="",
                asset_id="",
                content_hash="",
            ),
            want=want,
            ask=ask,
            suffix="suffix",
            roles=("option", "context"),
        )
        for answer_type, options, completion, ask in product(
            get_args(AnswerType), ((), ("one", "two")), ("", "completion"), (True, False)
        )
    ]
    return json.dumps(turns)
