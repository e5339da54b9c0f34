"""Which traces are imitated: conclusions and claims by golden tables, and what comes of them."""

import time
from dataclasses import replace

import pytest

from configs.distill import RejectionSamplingConfig
from datamodules.sample import Sample
from modules.verifiers.trace_filters import (
    Trace,
    TraceDecision,
    consistency,
    difficulty,
    filter_traces,
    quality,
    repair,
)
from modules.verifiers.verify import verify
from tests.golden_choices import golden_sample

ANIMALS = golden_sample("choice", "B", "cat", "dog", "cat and dog", "horse")
SEE = replace(golden_sample("choice", "A", "4", "1", "7"), question="Which digit is in the image?")
SUM = replace(golden_sample("choice", "A", "11", "4", "7"), question="What is 4 plus the digit?")
SIDE = replace(golden_sample("choice", "A", "image", "spoken"), question="Image or spoken digit?")
TOTAL, PERCENT = golden_sample("number", "11"), golden_sample("number", "50%")
NEAR = golden_sample("regression", "3.2", tolerance=0.25)
SAME, PAIR = golden_sample("yes_no", "yes"), golden_sample("set", "3, 7")
FREE = golden_sample("text", "a red car")

GOLDEN: list[tuple[Sample, str, str, str | None]] = [
    # An announced answer, by letter or by text; the last one counts.
    (ANIMALS, "It barks. The answer is B. <answer>B</answer>", "agrees", "B"),
    (ANIMALS, "It barks. The answer is B. <answer>A</answer>", "disagrees", "B"),
    (ANIMALS, "So the correct option is (B). <answer>dog</answer>", "agrees", "dog"),
    (ANIMALS, "Hence the final answer must be a dog. <answer>cat</answer>", "disagrees", "dog"),
    (ANIMALS, "The answer is B because there is no cat. <answer>D</answer>", "disagrees", "B"),
    (ANIMALS, "Answer: B\n<answer>A</answer>", "disagrees", "B"),
    (ANIMALS, "The answer is: option B.\n<answer>A</answer>", "disagrees", "B"),
    (ANIMALS, "I choose option B. <answer>C</answer>", "disagrees", "B"),
    (ANIMALS, "Option B is correct. \\boxed{D}", "disagrees", "B"),
    (ANIMALS, "So it is a horse. <answer>B</answer>", "disagrees", "D"),
    (ANIMALS, "<think>I hear barks. So B is the right answer.</think>A", "disagrees", "B"),
    (ANIMALS, "<think>So it's loud. The answer is A.</think><answer>A</answer>", "agrees", "A"),
    (ANIMALS, "The answer is A. No cat. The answer is B. <answer>B</answer>", "agrees", "B"),
    (ANIMALS, "The answer is **B**. <answer>banana</answer>", "disagrees", "dog"),
    (ANIMALS, "The answer is cat and dog. <answer>A</answer>", "disagrees", "C"),
    # Doubts, denials, second thoughts, and what does not read as an answer.
    (ANIMALS, "The answer is not B. <answer>A</answer>", "unread", None),
    (ANIMALS, "The answer is A or B. <answer>B</answer>", "unread", None),
    (ANIMALS, "The answer is A, B. <answer>B</answer>", "unread", None),
    (ANIMALS, "Perhaps the answer is A. <answer>B</answer>", "unread", None),
    (ANIMALS, "If it meows, the answer is A. <answer>B</answer>", "unread", None),
    (ANIMALS, "The answer is A. Wait, it barks. <answer>B</answer>", "unread", None),
    (ANIMALS, "The answer is A. But I hear barks. <answer>B</answer>", "unread", None),
    (ANIMALS, "At first I thought that A is correct. <answer>B</answer>", "unread", None),
    (ANIMALS, "Option A is incorrect. <answer>B</answer>", "unread", None),
    (ANIMALS, "Is the answer A? <answer>B</answer>", "unread", None),
    (ANIMALS, "So it is loud. <answer>B</answer>", "unread", None),
    (ANIMALS, "<answer>B</answer>", "unread", None),
    (ANIMALS, "B", "unread", None),
    # The only candidate that is spoken of, and what else might have been meant.
    (ANIMALS, "I hear a dog. <answer>cat</answer>", "disagrees", "dog"),
    (ANIMALS, "I hear a dog. <answer>dog</answer>", "agrees", "dog"),
    (ANIMALS, "It sounds like cat and dog. <answer>B</answer>", "disagrees", "C"),
    (ANIMALS, "I hear a cat. Then a dog. <answer>dog</answer>", "unread", None),
    (ANIMALS, "I hear a dog beside cats. <answer>cat</answer>", "unread", None),
    (ANIMALS, "There is no cat. <answer>dog</answer>", "unread", None),
    (ANIMALS, "It could be a cat. <answer>dog</answer>", "unread", None),
    (ANIMALS, "Option B fits the cat. <answer>B</answer>", "unread", None),
    (ANIMALS, "A category of noise. <answer>dog</answer>", "unread", None),
    (SEE, "The image shows the digit 4. <answer>7</answer>", "disagrees", "4"),
    (SEE, "The image shows the digit 4. <answer>4</answer>", "agrees", "4"),
    (SEE, "The image shows the digit 4, 7 or 1. <answer>7</answer>", "unread", None),
    (SEE, "The image shows the digit 14. <answer>7</answer>", "unread", None),
    (SEE, "The image shows a 4. The voice says a 9. <answer>7</answer>", "unread", None),
    (SEE, "The image shows the digit 4, not one. <answer>7</answer>", "unread", None),
    (SUM, "The image shows the digit 7. <answer>11</answer>", "unread", None),
    (SIDE, "The image shows the digit 4. <answer>spoken</answer>", "unread", None),
    # Numbers: announced, or what the last equation comes to; never what is merely mentioned.
    (TOTAL, "The image shows the digit 4. <answer>11</answer>", "unread", None),
    (TOTAL, "I see 4 and hear 7. 4 + 7 = 11. <answer>12</answer>", "disagrees", "11"),
    (TOTAL, "4 + 7 = 11. <answer>11.0</answer>", "agrees", "11"),
    (TOTAL, "4 + 3 = 7. And 4 more. <answer>11</answer>", "unread", None),
    (TOTAL, "So the sum is 12. <answer>11</answer>", "disagrees", "12"),
    (TOTAL, "So the image is 4. <answer>11</answer>", "unread", None),
    (TOTAL, "The answer is 12 dogs. <answer>11</answer>", "unread", None),
    (PERCENT, "The answer is 50%. <answer>5%</answer>", "disagrees", "50%"),
    (NEAR, "The answer is 3.4. <answer>3.2</answer>", "agrees", "3.4"),
    (NEAR, "The answer is 3.5. <answer>3.2</answer>", "disagrees", "3.5"),
    # Yes and no, sets, and free words.
    (SAME, "So the answer is no. <answer>yes</answer>", "disagrees", "no"),
    (SAME, "Yes, both are 4. <answer>no</answer>", "disagrees", "yes"),
    (SAME, "No, they are not the same. <answer>yes</answer>", "disagrees", "no"),
    (SAME, "There is no 4. <answer>yes</answer>", "unread", None),
    (PAIR, "The answer is 3 and 7. <answer>7, 3</answer>", "agrees", "3, 7"),
    (PAIR, "The answer is 3, 9. <answer>3, 7</answer>", "disagrees", "3, 9"),
    (PAIR, "The answer is a pair of primes. <answer>3, 7</answer>", "unread", None),
    (FREE, "The answer is a blue car. <answer>a red car</answer>", "unread", None),
]  # fmt: skip

CLAIMS = [
    "I cannot hear the recording, so I guess. <answer>B</answer>",
    "I can't see any image.",
    "I can’t actually listen to audio.",
    "I am unable to view the provided video.",
    "Sorry, I cannot hear.",
    "I couldn't access the audio file.",
    "As a language model, I answer from the text.",
    "I'm a text-based AI model.",
    "No audio was provided, but B is likely.",
    "The image is not available.",
    "The video clip wasn't attached.",
    "Without hearing the recording, B is likely.",
    "I do not have access to sound.",
    "I don't have the ability to see.",
    "I don't see an image.",
    "Since the CLIP has not been provided",
    "<audio> The answer is B.",
    "<|AUDIO|>",
    "A <image_1> shows it",
    "</Video>",
    "it ends here <|im_end|> <answer>B</answer>",
]
OBSERVATIONS = [
    "I cannot hear a dog, only rain.",
    "I can't see any sign of a dog in the image.",
    "I cannot hear the sound of rain.",
    "There is no sound in the video.",
    "The image does not show a dog.",
    "I don't hear a voice in the recording.",
    "The door is not available for entry.",
    "He speaks without looking at the camera.",
    "I see the image and I hear the recording.",
    "As an animal, a dog barks.",
    "<think>It barks</think> <answer>B</answer>",
    "a < b and b > c, |x| < 2",
    "A visible image, an audible sound.",
]


def traced(text: str, sample: Sample, *, finished: bool = True) -> Trace:
    return Trace(text=text, finished=finished, verdict=verify(text, sample=sample))


def judged(
    text: str, sample: Sample = ANIMALS, *, finished: bool = True, **settings: bool
) -> TraceDecision:
    config = RejectionSamplingConfig(**{"difficulty": False, **settings})
    return filter_traces([traced(text, sample, finished=finished)], sample, config)[0]


@pytest.mark.parametrize(("sample", "text", "expected", "conclusion"), GOLDEN)
def test_reasoning_is_compared_with_the_answer_as_the_golden_table_says(
    sample, text, expected, conclusion
):
    assert consistency(text, sample, verify(text, sample=sample)) == (expected, conclusion)


def test_the_golden_table_has_every_outcome_often():
    outcomes = [row[2] for row in GOLDEN]
    assert all(outcomes.count(one) >= 9 for one in ("agrees", "disagrees", "unread"))


@pytest.mark.parametrize("text", CLAIMS)
def test_a_claim_not_to_perceive_and_a_stray_token_are_found(text):
    assert quality(text)


@pytest.mark.parametrize("text", OBSERVATIONS)
def test_what_is_said_of_the_content_is_no_claim(text):
    assert quality(text) == ""


@pytest.mark.parametrize("text", ["so " * 11_000, "i cannot hear the " * 2_000, "<audio" * 9_000])
def test_a_runaway_is_judged_in_no_time(text):
    start = time.process_time()
    judged(f"{text}<answer>B</answer>")
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("n_right", "suits"), [(0, False), (1, True), (6, True), (7, False), (8, False)]
)
def test_questions_that_none_or_nearly_all_traces_solve_are_left_out(n_right, suits):
    """As published: 0, 7 and 8 of 8 are dropped."""
    assert difficulty(n_right, RejectionSamplingConfig()) is suits


def test_difficulty_counts_before_anything_is_repaired():
    """One of three is right and another would be once repaired: 1 is below min_correct=2."""
    texts = ["<answer>B</answer>", "I hear a dog. <answer>A</answer>", "<answer>D</answer>"]
    found = filter_traces(
        [traced(text, ANIMALS) for text in texts],
        ANIMALS,
        RejectionSamplingConfig(samples=3, min_correct=2, max_correct=3),
    )
    assert [one.dropped for one in found] == ["difficulty", "difficulty", "wrong"]
    assert [one.n_right for one in found] == [1, 1, 1] and not found[0].suitable
    assert found[1].repaired


def test_difficulty_counts_a_trace_that_was_cut_as_a_failure():
    """Of three right ones two were cut, and these are not imitated: 1 is below min_correct=2."""
    found = filter_traces(
        [traced("<answer>B</answer>", ANIMALS, finished=number == 0) for number in range(3)],
        ANIMALS,
        RejectionSamplingConfig(samples=3, min_correct=2, max_correct=3),
    )
    assert [one.dropped for one in found] == ["difficulty", "cut", "cut"]
    assert [one.n_right for one in found] == [1, 1, 1]


def test_a_right_conclusion_behind_a_wrong_answer_is_repaired_and_nothing_else_is_touched():
    found = judged("<think>A bark.</think> I hear a dog. <answer>cat</answer> Yes.")
    assert found.kept and found.repaired
    assert found.completion == "<think>A bark.</think> I hear a dog. <answer>dog</answer> Yes."


def test_a_letter_is_repaired_by_a_letter():
    assert judged("The answer is dog. <answer>A</answer>").completion.endswith("<answer>B</answer>")


def test_without_repair_a_wrong_answer_is_only_wrong():
    found = judged("I hear a dog. <answer>cat</answer>", repair=False)
    assert (found.dropped, found.repaired) == ("wrong", False)
    assert found.completion == "I hear a dog. <answer>cat</answer>"


def test_a_lucky_answer_against_its_own_reasoning_is_dropped():
    found = judged("I hear a cat. <answer>dog</answer>")
    assert (found.kept, found.dropped) == (False, "consistency")
    assert judged("I hear a cat. <answer>dog</answer>", consistency=False).kept


def test_a_wrong_conclusion_is_never_written_into_the_answer():
    text = "I hear a horse. <answer>cat</answer>"
    found = judged(text, only_correct=False)
    assert (found.dropped, found.completion) == ("consistency", text)


def test_a_box_is_not_repaired():
    text = "I hear a dog. \\boxed{A}"
    assert repair(text, "dog", ANIMALS) == text
    assert judged(text).dropped == "wrong"


def test_the_first_reason_is_given_and_the_others_are_still_told():
    found = judged("I cannot hear the audio. It is a cat. <answer>B</answer>", finished=False)
    assert found.dropped == "cut" and found.claim == "cannot hear the audio"
    found = judged("I cannot hear the audio. <answer>B</answer>", quality=False)
    assert found.kept and found.claim == "cannot hear the audio"


def test_wrong_traces_stay_where_only_correct_is_off():
    assert judged("<answer>A</answer>").dropped == "wrong"
    assert judged("<answer>A</answer>", only_correct=False).kept
