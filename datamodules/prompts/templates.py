"""The text around a question: plain Python, for local models and for API endpoints."""

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
"""The instruction for each type of question; part of a probe's identity, so a change misses the
cache."""

DESCRIBE = (
    "Describe what the question turns on, for someone who sees and hears nothing. Do not answer it."
)
"""The instruction where a description of the evidence is wanted instead of an answer."""

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
"""Added below a question of which something is withheld, word for word as in VidGround (arXiv
2604.05117)."""


def question_text(sample: Sample) -> str:
    """Write a question and its options, and nothing around them."""
    return "\n".join((sample.question, *_options(sample)))


def _options(sample: Sample) -> list[str]:
    """Write the options, with their letters if the answer is a letter."""
    if sample.answer_with == "text":
        return list(sample.options)
    return [
        f"{letter}. {text}" for letter, text in zip(sample.letters, sample.options, strict=True)
    ]


def user_turn(
    sample: Sample,
    *,
    task: Task = "answer",
    show_question: bool = True,
    suffix: str = "",
    roles: Sequence[Role] | None = None,
) -> list[str | int]:
    """Lay out the user's turn: its texts, and indices of its media where they are shown.

    Media come first, except those that are options, which follow the text of their option. The
    suffix stands below the options; the instruction is last, as in every other prompt. How
    VidGround combines the two is not published.

    Args:
        task: the answer; a description of the evidence; or the answer from a description, which
            then stands last without media, so that all descriptions of one question share the
            beginning of the prompt.
        show_question: whether the question itself is written; options and instruction always are.
        roles: those of the media, where they are not in the sample.
    """
    roles = [item.role for item in sample.media] if roles is None else roles
    roles = () if task == "answer_from_description" else roles
    pieces: list[str | int] = [at for at, role in enumerate(roles) if role == "context"]
    shown = [at for at, role in enumerate(roles) if role == "option"]
    text = sample.question if show_question else ""
    for number, option in enumerate(_options(sample)):
        text += f"\n{option}"
        if number < len(shown):
            pieces += [text, shown[number]]
            text = ""
    told = f"Evidence: {sample.evidence}" if task == "answer_from_description" else ""
    below = (suffix, _instruction(sample, task), told)
    pieces.append(text + "".join(f"\n{line}" for line in below if line))
    if not show_question:  # then the first text, wherever it stands, has no line above it
        first = next(at for at, piece in enumerate(pieces) if isinstance(piece, str))
        pieces[first] = str(pieces[first]).removeprefix("\n")
    return [piece for piece in pieces if piece != ""]


def _instruction(sample: Sample, task: Task) -> str:
    """Return the instruction; empty where the answer is free text, to be imitated as it is."""
    if task == "describe":
        return DESCRIBE
    if task == "answer" and sample.free:
        return ""
    lettered = sample.answer_type == "choice" and sample.answer_with == "letter"
    return INSTRUCTIONS["letter" if lettered else sample.answer_type]


def target_text(sample: Sample) -> str:
    """Write the target of imitation: the question's own completion, else its answer in its tags.

    A completion that names the right option by a letter, where no letters are shown, names it by
    its text instead: a target has to be right.
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


def template_fingerprint(answer_with: AnswerWith, task: Task = "answer") -> str:
    """Write a turn of every kind: whatever changes what `user_turn` writes changes this text."""
    turns = [
        user_turn(
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
            task=task,
            show_question=show_question,
            suffix="suffix",
            roles=("option", "context"),
        )
        for answer_type, options, completion, show_question in product(
            get_args(AnswerType), ((), ("one", "two")), ("", "completion"), (True, False)
        )
    ]
    return json.dumps(turns)
