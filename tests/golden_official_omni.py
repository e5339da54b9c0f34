"""The same for benchmarks of sound and picture together.

Answers of IntentBench and CG-AV-Counting are also sets, yes or no, and counts.
"""

from dataclasses import replace

from datamodules.sample import AnswerType, Sample
from tests.golden_choices import VOICES, golden_sample
from tests.golden_official import OFFICIAL_CHOICES, Row, asked

FEELINGS = ("angry", "sad", "happy", "calm", "afraid")


def told(source: str, kind: AnswerType, answer: str, *options: str) -> Sample:
    return replace(golden_sample(kind, answer, *options), source=source)


PARSED: list[tuple[Sample, list[Row]]] = [
    (
        asked("omnibench", "B", "a man", "a woman", "a child", "a robot"),
        [
            ("right", "right", "B"),
            ("right", "right", "(B)"),
            ("right", "right", "<answer> B </answer>"),
            ("right", "unread", "My answer: B"),
            ("right", "unread", "The answer is B."),
            ("right", "unread", "(A) no, (B) yes"),
            ("right", "unread", "It is definitely a woman who speaks here."),
            # "A " goes before "B.", and a word may end in a letter.
            ("wrong", "right", "B. A woman"),
            ("wrong", "right", "A woman"),
            ("wrong", "unread", "NASA says it is the woman"),
            ("wrong", "unread", "(B) rather than (A)"),
            ("wrong", "unread", "I think it is B or C"),
            ("wrong", "unread", "First a woman speaks, then a child answers her."),
            ("unread", "right", "a woman"),
            ("unread", "right", "**B**"),
            ("unread", "right", "<answer>B</answer>"),
            ("unread", "unread", "I cannot hear any audio."),
            ("unread", "unread", ""),
            ("wrong", "wrong", "C"),
            ("wrong", "wrong", "(D)"),
            ("wrong", "wrong", "<answer> C </answer>"),
        ],
    ),
    (  # The key is read out of the answer's text as out of a reply: "A woman" is A.
        asked("omnibench", "B", *VOICES),
        [
            ("right", "wrong", "A"),
            ("right", "right", "A woman"),
            ("right", "right", "B. A woman"),
            ("wrong", "right", "B"),
            ("wrong", "right", "(B)"),
            ("unread", "unread", ""),
        ],
    ),
    (  # Of more than five words, the text that comes last is the key, be it within another's.
        asked(
            *("omnibench", "B", "two of them", "it is what only two of them say"),
            *("nobody", "The Beatles, from a TV"),
        ),
        [
            ("right", "wrong", "A"),
            ("wrong", "right", "B"),
            ("right", "right", "it is what only two of them say"),
        ],
    ),
    (
        asked("av_odyssey", "B", *VOICES),
        [
            ("right", "right", "B"),
            ("right", "right", "(B)"),
            ("right", "right", "**B**"),
            ("right", "right", "<answer>B</answer>"),
            ("right", "unread", "The answer is B."),
            ("right", "unread", "Because she speaks."),
            ("right", "unread", "B, as in Charlie"),
            ("right", "unread", "(A) or (C)? No, (B)!"),
            ("right", "unread", "it is definitely a woman who speaks here."),
            # Every capital is a candidate, and of those without brackets the first letter wins.
            ("wrong", "right", "B. A woman"),
            ("wrong", "right", "A woman"),
            ("wrong", "right", "<think>Maybe A? No, C? </think><answer>B</answer>"),
            ("wrong", "unread", "Answer B"),
            ("wrong", "unread", "Audio is missing."),
            ("wrong", "unread", "first a woman speaks, then a child answers her"),
            ("unread", "right", "a woman"),
            ("unread", "unread", "I cannot hear any audio."),
            ("unread", "unread", ""),
            ("wrong", "wrong", "D"),
            ("wrong", "wrong", "<answer>C</answer>"),
        ],
    ),
    (  # What is not read is A to the published script; here it earns nothing.
        asked("av_odyssey", "A", *VOICES),
        [
            ("right", "right", "A man"),
            ("right", "wrong", "B. A woman"),
            ("unread", "unread", "no idea"),
            ("unread", "unread", ""),
            ("wrong", "wrong", "B"),
        ],
    ),
    (
        asked("omnivideobench", "B", *VOICES),
        [
            ("right", "right", "B"),
            ("right", "right", "b"),
            ("right", "right", "B."),
            ("right", "right", "B)"),
            ("right", "right", "(B)"),
            ("right", "right", "**B**"),
            ("right", "right", "B. A woman"),
            ("right", "right", "\\boxed{B}"),
            ("right", "right", "The answer is \\boxed{B}."),
            ("right", "right", "<think>A man? No.</think>B"),
            ("right", "right", "<think>A?</think>\nB. A woman"),
            ("right", "unread", "/box{B}"),
            ("right", "unread", "/BOX{B}"),
            ("right", "unread", "The answer is /Box{ b }"),
            ("right", "unread", "/BOX{B. A woman}"),
            ("right", "unread", "/box{} or /box{B}"),
            ("right", "right", "/BOX{\\boxed{b}"),
            ("unread", "unread", "\\BOXED{B}"),
            ("unread", "unread", "/BOX{}B"),
            ("wrong", "unread", "A.B"),
            ("unread", "right", "A woman"),
            ("unread", "right", "Option B"),
            ("unread", "right", "\\boxed{\\text{B}}"),
            ("unread", "right", "<answer>B</answer>"),
            ("unread", "unread", "The answer is B."),
            ("unread", "unread", "<think>It is B"),
            ("unread", "unread", "BC"),
            ("unread", "unread", ""),
            ("wrong", "wrong", "C"),
            ("wrong", "wrong", "D. A robot"),
            ("wrong", "wrong", "\\boxed{A}"),
        ],
    ),
]

TAGGED: list[tuple[Sample, list[Row]]] = [
    (
        told("intentbench", "choice", "B", *VOICES),
        [
            ("right", "right", "<answer>B</answer>"),
            ("right", "right", "<answer>\n B </answer>"),
            ("right", "right", "<context>c</context><think>t</think><answer>B</answer>"),
            # The first tag counts, even in what was thought.
            ("right", "wrong", "<answer>B</answer> or <answer>C</answer>"),
            ("right", "wrong", "<think><answer>B</answer>? No.</think><answer>D</answer>"),
            ("wrong", "right", "<answer>A</answer>... wait: <answer>B</answer>"),
            # It holds the letter and nothing else.
            ("wrong", "right", "<answer>b</answer>"),
            ("wrong", "right", "<answer>B.</answer>"),
            ("wrong", "right", "<answer>A woman</answer>"),
            ("wrong", "right", "<answer>B. A woman</answer>"),
            ("wrong", "wrong", "<answer>C</answer>"),
            ("unread", "right", "B"),
            ("unread", "unread", "The answer is B."),
            ("unread", "unread", "<answer>B"),
            ("unread", "unread", "<answer></answer>"),
            ("unread", "unread", ""),
        ],
    ),
    (
        told("intentbench", "yes_no", "no"),
        [
            ("right", "right", "<answer>No</answer>"),
            ("right", "right", "<answer> no </answer>"),
            # "no" is in not, know and cannot.
            ("right", "unread", "<answer>I do not know</answer>"),
            ("right", "unread", "<answer>cannot tell</answer>"),
            ("right", "unread", "<answer>Yes and no</answer>"),
            ("wrong", "wrong", "<answer>Yes</answer>"),
            ("unread", "right", "No"),
            ("unread", "unread", ""),
        ],
    ),
    (
        told("intentbench", "yes_no", "yes"),
        [
            ("right", "right", "<answer>YES.</answer>"),
            ("right", "unread", "<answer>Yes, he lies</answer>"),
            ("right", "unread", "<answer>His eyes are shut, so no</answer>"),
            ("wrong", "unread", "<answer>Yep</answer>"),
            ("wrong", "wrong", "<answer>No</answer>"),
            ("unread", "wrong", "No"),
        ],
    ),
]

SETS: list[tuple[float | None, str, str]] = [
    # F1 by the published rule, None where it reads nothing; ours; a completion to angry and happy.
    (1.0, "right", "<answer>A,C</answer>"),
    (1.0, "right", "<answer>C,A</answer>"),
    (1.0, "wrong", "<answer>A,C</answer><answer>B</answer>"),
    # A space is part of what it stands before: only A is shared of two and two.
    (2 * 1 / (2 + 2), "right", "<answer>A, C</answer>"),
    (0.0, "right", "<answer>a,c</answer>"),
    (0.0, "right", "<answer>angry,happy</answer>"),
    (2 * 1 / (1 + 2), "wrong", "<answer>A</answer>"),
    (2 * 2 / (3 + 2), "wrong", "<answer>A,C,E</answer>"),
    (2 * 1 / (3 + 2), "wrong", "<answer>A,B,D</answer>"),
    (2 * 1 / (4 + 2), "wrong", "<answer>A,B,D,E</answer>"),
    # What is given twice counts twice among those given, and once among those shared.
    (2 * 2 / (3 + 2), "right", "<answer>A,C,C</answer>"),
    (2 * 1 / (2 + 2), "wrong", "<answer>A,A</answer>"),
    (0.0, "wrong", "<answer>B,D</answer>"),
    (None, "unread", "A,C"),
    (None, "unread", "<answer></answer>"),
    (None, "unread", ""),
]
SET_SAMPLE = told("intentbench", "set", "A, C", *FEELINGS)

COUNTS: list[tuple[Sample, list[Row]]] = [
    (
        told("cg_av_counting", "number", "7"),
        [
            ("right", "right", "7"),
            ("right", "right", "07"),
            ("right", "unread", "\u0667"),
            ("right", "right", "seven"),
            ("right", "unread", "There are Seven of them"),
            # Number words are added up, whatever stands between them.
            ("right", "unread", "three or four"),
            ("right", "unread", "one dog and six cats"),
            ("wrong", "wrong", "twenty-seven"),
            ("wrong", "wrong", "six"),
            ("right", "unread", "two two three"),
            ("right", "unread", "SEVEN point"),
            ("right", "unread", "seven point eleven"),
            ("wrong", "wrong", "seven point five"),
            ("wrong", "unread", "point seven"),
            ("wrong", "unread", "point"),
            # Of five words, the first is the number.
            ("right", "unread", "seven one two three four"),
            ("unread", "unread", "thousand seven"),
            ("unread", "unread", "seven thousand or seven thousand"),
            ("unread", "unread", "seven thousand million"),
            # Digits are the whole reply, or nothing, and white space is not read over.
            ("unread", "right", "7\n"),
            ("unread", "right", " 7"),
            ("unread", "unread", "\u00b2"),
            ("unread", "right", "7.0"),
            ("unread", "right", "**7**"),
            ("unread", "right", "\\boxed{7}"),
            ("unread", "right", "<answer>7</answer>"),
            ("unread", "wrong", "-7"),
            ("unread", "wrong", "17.5"),
            ("unread", "unread", "7 times"),
            ("unread", "unread", "The answer is 7."),
            ("unread", "right", "seven."),
            ("unread", "unread", ""),
            ("wrong", "wrong", "6"),
            ("wrong", "wrong", "70"),
        ],
    ),
    (
        told("cg_av_counting", "number", "120"),
        [
            ("right", "right", "120"),
            ("right", "right", "one hundred twenty"),
            ("right", "right", "one hundred and twenty"),
            ("wrong", "wrong", "one hundred"),
            ("wrong", "wrong", "twelve thousand"),
            ("wrong", "wrong", "121"),
        ],
    ),
]

OFFICIAL = [
    (sample, row) for sample, rows in OFFICIAL_CHOICES + PARSED + TAGGED + COUNTS for row in rows
]
