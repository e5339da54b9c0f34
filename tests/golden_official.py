"""Completions to choices, what their publishers' rules make of them, and what our verifier does.

Worked out by hand from the rules. Where the first two words differ, one of the rules is wrong about
what was said: nearly always the published one, and the comment above says why.
"""

from dataclasses import replace

from datamodules.sample import Sample
from tests.golden_choices import VOICES, golden_sample

Row = tuple[str, str, str]
"""`right`, `wrong` or `unread` by the published rule; the same by ours; the completion."""


def asked(source: str, answer: str, *options: str) -> Sample:
    return replace(golden_sample("choice", answer, *options), source=source)


STRING_MATCH: list[tuple[Sample, list[Row]]] = [
    (
        asked("mmau", "B", *VOICES),
        [
            ("right", "right", "A woman"),
            ("right", "right", "a WOMAN!"),
            ("right", "right", "B. A woman"),
            ("right", "right", "(B) A woman"),
            ("right", "right", "<answer>A woman</answer>"),
            ("right", "right", "<answer>Option B: A woman</answer>"),
            ("right", "right", "\\boxed{A woman}"),
            # A letter is not the text of an option.
            ("wrong", "right", "B"),
            ("wrong", "right", "(B)"),
            ("wrong", "right", "**B**"),
            ("wrong", "right", "<answer>B</answer>"),
            ("wrong", "unread", "The answer is B."),
            # Words of another option count wherever they stand, in what was thought too.
            ("wrong", "right", "<think>A man? No.</think><answer>A woman</answer>"),
            ("wrong", "unread", "It is not a man; it is a woman."),
            ("right", "wrong", "<think>It sounds like a woman.</think><answer>C</answer>"),
            # Words of no option cost nothing, whatever they say.
            ("right", "unread", "The answer is: a woman."),
            ("right", "unread", "I hear a woman, and no animal."),
            ("right", "unread", "A woman? I cannot tell."),
            ("wrong", "unread", "Woman"),
            ("wrong", "unread", "I cannot hear any audio."),
            ("wrong", "wrong", "A man"),
            ("wrong", "wrong", "<answer>A child</answer>"),
            ("wrong", "wrong", "<answer>D</answer>"),
            ("unread", "unread", ""),
            ("unread", "unread", " ... "),
        ],
    ),
    (
        asked("mmau", "B", "2", "12", "20"),
        [
            ("right", "right", "12"),
            ("right", "right", "B. 12"),
            ("right", "unread", "12 dogs"),
            ("wrong", "right", "B"),
            ("wrong", "right", "Option 2"),
            ("wrong", "unread", "2 or 12"),
            ("wrong", "unread", "twelve"),
            ("wrong", "wrong", "20"),
        ],
    ),
    (
        asked("mmar", "A", "From near to far", "From far to near", "Left to right"),
        [
            ("right", "right", "From near to far"),
            ("right", "right", "<answer>from near to far.</answer>"),
            # Options of the same words in another order are one to a bag of words.
            ("right", "wrong", "From far to near"),
            ("right", "wrong", "B. From far to near"),
            ("wrong", "right", "A"),
            ("wrong", "unread", "near to far"),
            ("wrong", "wrong", "Left to right"),
        ],
    ),
    (
        asked("mmar", "B", "Yes", "No"),
        [
            ("right", "right", "No"),
            ("right", "right", "no."),
            ("right", "unread", "There is no sound."),
            ("wrong", "right", "B"),
            ("wrong", "unread", "No, yes"),
            ("wrong", "unread", "I do not know"),
            ("wrong", "wrong", "Yes"),
        ],
    ),
]

ENDS: list[tuple[Sample, list[Row]]] = [
    (
        asked("mmsu", "C", "happy", "sad", "angry", "calm"),
        [
            ("right", "right", "C"),
            ("right", "right", "\n C\n"),
            ("right", "right", "C. angry"),
            ("right", "right", "C) angry"),
            ("right", "right", "(C)"),
            ("right", "unread", "The answer is C."),
            # The last but one is a space here.
            ("unread", "unread", "The answer is C"),
            # Words begin with letters, too.
            ("right", "wrong", "Calm"),
            ("right", "unread", "Certainly! The voice is happy."),
            ("right", "unread", "The voice sounds calm: D or C."),
            ("wrong", "right", "Angry"),
            ("wrong", "right", "Answer:\n<answer>C</answer>"),
            ("wrong", "unread", "Because the voice is loud, C."),
            ("unread", "right", "angry"),
            ("unread", "right", "c"),
            ("unread", "right", "**C**"),
            ("unread", "right", "<answer>C</answer>"),
            ("unread", "wrong", "<answer>B</answer>"),
            ("wrong", "wrong", "A"),
            ("wrong", "wrong", "D. calm"),
            ("unread", "unread", ""),
            ("unread", "unread", "None"),
        ],
    ),
    (  # The published script compares the texts that letters stand for.
        asked("mmsu", "A", "sad", "sad", "angry", "calm"),
        [("right", "right", "A"), ("right", "right", "B"), ("wrong", "wrong", "C")],
    ),
    (  # Two options have no third letter.
        asked("mmsu", "B", "rising", "falling"),
        [("right", "right", "B"), ("wrong", "unread", "C"), ("wrong", "wrong", "A")],
    ),
    (
        asked("daily_omni", "B", *VOICES),
        [
            ("right", "right", "B"),
            ("right", "right", "b"),
            ("right", "right", " B. A woman"),
            ("right", "unread", "Because she speaks."),
            ("right", "unread", "Both a man and a woman."),
            ("wrong", "right", "A woman"),
            ("wrong", "right", "Answer:\n\\boxed{B}"),
            ("wrong", "unread", "Definitely B"),
            ("wrong", "unread", "Cannot tell."),
            ("unread", "right", "(B)"),
            ("unread", "right", "**B**"),
            ("unread", "right", "option B"),
            ("unread", "right", "<answer>B</answer>"),
            ("unread", "wrong", "<answer>A</answer>"),
            ("unread", "unread", "The answer is B."),
            ("unread", "unread", "I cannot hear any audio."),
            ("unread", "unread", ""),
            ("wrong", "wrong", "C"),
            ("wrong", "wrong", "D. A robot"),
        ],
    ),
]

CAPITALS: list[tuple[Sample, list[Row]]] = [
    (
        asked("video_mme", "B", *VOICES),
        [
            ("right", "right", "B"),
            ("right", "right", "(B)"),
            ("right", "right", "B. A woman"),
            ("right", "right", "<answer>B</answer>"),
            ("right", "unread", "The answer is B."),
            ("right", "unread", "The best answer is: B"),
            ("right", "unread", "It must be option B, since nobody else can be heard in the film."),
            # The first capital of any word is taken for the letter.
            ("right", "unread", "Best answer: C"),
            ("right", "unread", "Because she speaks."),
            ("wrong", "unread", "Answer: B"),
            ("wrong", "unread", "I Cannot tell"),
            ("wrong", "right", "A woman"),
            ("wrong", "right", "<think>A man? No.</think><answer>B</answer>"),
            ("unread", "right", "a woman"),
            ("unread", "right", "b"),
            ("unread", "unread", "the woman"),
            (
                "unread",
                "unread",
                "The answer is clear to whoever listens, but nobody says it.",
            ),
            ("unread", "unread", ""),
            ("wrong", "wrong", "D"),
            ("wrong", "wrong", "<answer>C</answer>"),
        ],
    ),
    (
        asked("worldsense", "B", *VOICES),
        [
            ("right", "right", "B"),
            ("right", "right", "Option B"),
            ("right", "unread", "Answer: B"),
            ("right", "right", "Option: B"),
            ("right", "unread", "The correct answer is B."),
            ("right", "unread", "Best answer: C"),
            ("wrong", "right", "A woman"),
            ("wrong", "unread", "Audio is missing."),
            ("wrong", "unread", "Correct answer: B"),
            ("unread", "right", "<answer>b</answer>"),
            ("unread", "unread", "I cannot hear it."),
            ("unread", "unread", ""),
            ("wrong", "wrong", "<answer>D</answer>"),
        ],
    ),
    (
        asked(
            *("video_holmes", "E", "the son", "the maid", "the doctor", "the driver"),
            *("a ghost", "nobody"),
        ),
        [
            ("right", "right", "<think>Who was it?</think><answer>E</answer>"),
            ("right", "right", "<answer>E: a ghost</answer>"),
            ("right", "right", "<answer>[E]</answer>"),
            ("right", "right", "<answer>A</answer> no, <answer>E</answer>"),
            ("right", "right", "<answer>E</answer> or so <answer>B"),
            ("right", "right", "E"),
            ("right", "unread", "<answer>Maybe E.</answer>"),
            # A letter before a space or colon goes before any other, then the alphabet decides.
            ("right", "unread", "The answer is E: a ghost. Doctor, no."),
            ("right", "unread", "E D"),
            ("wrong", "unread", "The Doctor says so: E"),
            ("wrong", "unread", "<answer>D or E</answer>"),
            ("wrong", "unread", "A ghost, so E"),
            ("wrong", "right", "<answer>A ghost</answer>"),
            ("unread", "right", "<answer>a ghost</answer>"),
            ("unread", "wrong", "<answer>the maid</answer>"),
            ("unread", "unread", "<answer></answer> E"),
            ("unread", "unread", "nobody knows"),
            ("unread", "unread", ""),
            ("wrong", "wrong", "<answer>B</answer>"),
            ("wrong", "wrong", "<answer>F</answer>"),
        ],
    ),
]

OFFICIAL_CHOICES = STRING_MATCH + ENDS + CAPITALS
