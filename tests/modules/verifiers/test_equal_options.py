"""Options that a publisher lists twice: shown as they are, and any of the equal ones is right."""

from dataclasses import replace

import pytest

from datamodules.contribution.decide import question_features
from datamodules.prompts.orders import arrange_options, reorder
from datamodules.prompts.templates import target_text
from datamodules.sample import Media
from evaluation.benchmarking.baselines import first_option, longest_option
from modules.rewards.verifier_reward import matches_exactly
from modules.verifiers.conclusions import final_conclusion
from modules.verifiers.parsing import choice, items
from modules.verifiers.trace_filters import consistency
from modules.verifiers.verify import verify
from tests.golden_choices import golden_sample

TWICE = golden_sample("choice", "B", "a dog", "a cat", "an owl", "a cat")
"""B and D are right."""


def test_all_letters_of_equal_options_are_right_and_no_other():
    assert (TWICE.right, TWICE.alike("A"), TWICE.alike("D")) == ("BD", "A", "BD")
    said = [verify(f"<answer>{letter}</answer>", sample=TWICE).correct for letter in "ABCD"]
    assert said == [False, True, False, True]
    assert [matches_exactly(letter, TWICE) for letter in "ABCD"] == said
    for words in ("D. a cat", "(D)", "option 4", "Option D", "a cat", "A CAT!"):
        assert verify(f"<answer>{words}</answer>", sample=TWICE).correct
    assert choice("D", TWICE) == ("letter", "B")
    assert not verify("<answer>D. a dog</answer>", sample=TWICE).parsed


def test_a_wrong_option_listed_twice_stays_wrong():
    sample = replace(TWICE, answer="C")
    assert sample.right == "C"
    assert not any(verify(one, sample=sample).correct for one in ("B", "D", "a cat"))


@pytest.mark.parametrize("seed", range(12))
def test_in_every_order_the_answer_is_the_first_of_the_equal_ones(seed):
    turned = reorder(TWICE, seed)
    assert turned.right[0] == turned.answer and len(turned.right) == 2
    assert {turned.options["ABCD".index(letter)] for letter in turned.right} == {"a cat"}


def test_guessing_is_right_as_often_as_there_are_right_options():
    chances = question_features([TWICE, replace(TWICE, answer="A")], "text_only", "absent").chance
    assert chances.tolist() == [0.5, 0.25]
    assert (first_option(TWICE), first_option(replace(TWICE, answer="A"))) == (0.0, 1.0)
    same = golden_sample("choice", "A", "a", "b", "a")
    assert longest_option(same) == pytest.approx(2 / 3)
    assert first_option(replace(same, options=("b", "a", "a"), answer="B")) == 0.0
    assert first_option(golden_sample("choice", "A", "a", "a")) == 1.0


def test_options_that_show_different_media_are_two():
    """A text that both have names neither of them; their letters do."""
    media = tuple(
        Media(modality="image", path=path, role="option") for path in ("a.png", "b.png", "a.png")
    )
    sample = replace(golden_sample("choice", "A", "this", "this", "this"), media=media)
    assert (sample.right, sample.alike("B")) == ("AC", "B")
    assert verify("<answer>C</answer>", sample=sample).correct
    assert not verify("<answer>B</answer>", sample=sample).correct
    assert not verify("<answer>this</answer>", sample=sample).parsed
    assert question_features([sample], "text_only", "absent").chance == pytest.approx([2 / 3])


def test_options_without_a_text_are_not_taken_for_equal():
    assert golden_sample("choice", "B", "", "", "").right == "B"


def test_equal_options_are_one_item_of_a_set():
    sample = golden_sample("set", "A, B", "red", "blue", "red")
    assert items("C, B", sample) == items("A, B, C", sample) == frozenset("AB")
    assert verify("<answer>red, blue</answer>", sample=sample).correct
    assert not verify("<answer>red</answer>", sample=sample).correct


def test_items_of_a_set_are_texts_where_no_letters_are_shown():
    """Of the notes C, A, B and D, the first and the last."""
    lettered = golden_sample("set", "A, D", "C", "A", "B", "D")
    spelled = replace(lettered, answer_with="text")
    assert target_text(lettered) == "<answer>A, D</answer>"
    assert target_text(spelled) == "<answer>C, D</answer>"
    for sample in (lettered, spelled):
        assert verify(target_text(sample), sample=sample).correct
        other = replace(sample, answer="B, C")
        assert not verify(target_text(other), sample=sample).correct
    assert verify("<answer>A, D</answer>", sample=spelled).score == 0.5


def test_items_may_hold_commas():
    """Letters in the answer; the second option has a comma of its own."""
    sample = golden_sample("set", "A, B", "red", "blue, dark", "dark", "blue")
    spelled = replace(sample, answer_with="text")
    assert target_text(spelled) == "<answer>red, blue, dark</answer>"
    assert verify("<answer>blue, dark, red</answer>", sample=spelled).correct
    assert not verify("<answer>red, dark, blue</answer>", sample=spelled).correct
    assert verify(
        "<answer>red, dark, blue</answer>", sample=replace(spelled, answer="A, C, D")
    ).correct


@pytest.mark.parametrize("answer_type", ["number", "yes_no", "text"])
def test_open_answers_to_questions_with_options_are_imitated_as_they_are(answer_type):
    answer = {"number": "7", "yes_no": "yes", "text": "a cat"}[answer_type]
    sample = arrange_options(
        golden_sample(answer_type, answer, "7", "yes", "a cat"), option_seed=0, answer_with="text"
    )
    assert target_text(sample) == f"<answer>{answer}</answer>"
    assert verify(target_text(sample), sample=sample).correct


def test_a_completion_that_names_a_letter_names_the_text_where_letters_are_not_shown():
    sample = replace(TWICE, completion="It meows. <answer>D</answer>", answer_with="text")
    assert target_text(sample) == "It meows. <answer>a cat</answer>"
    assert target_text(replace(sample, answer_with="letter")) == sample.completion
    shown = replace(sample, completion="It meows. <answer>B. a cat</answer>.")
    assert target_text(shown) == "It meows. <answer>a cat</answer>."
    for kept in ("It meows. <answer>a cat</answer>", "B", "<answer>A</answer>", "<answer>B or D"):
        assert target_text(replace(sample, completion=kept)) == kept


def test_reasoning_and_answer_agree_on_equal_options():
    text = "It meows. So the answer is D. <answer>B</answer>"
    assert consistency(text, TWICE, verify(text, sample=TWICE))[0] == "agrees"
    spelled = replace(TWICE, answer_with="text")
    said = "So the answer is a cat.\n<answer>a cat</answer>"
    assert consistency(said, spelled, verify(said, sample=spelled)) == ("agrees", "a cat")
    assert final_conclusion("So the answer is D.", spelled) is None


def test_a_sign_is_part_of_what_is_concluded():
    sample = golden_sample("number", "5")
    assert final_conclusion("The answer:\n-5", sample) == -5
    assert final_conclusion("- The answer is 5.", sample) == 5
    assert final_conclusion("The answer is 3!", sample) is None
    assert final_conclusion("So the answer is minus five.", sample) == -5


def test_options_that_read_alike_are_not_concluded_from_words():
    sample = golden_sample("choice", "A", "pH", "PH", "salt")
    assert final_conclusion("The image shows the word ph.", sample) is None
    reading = final_conclusion(
        "The image shows salt.", golden_sample("choice", "A", "salt", "pH", "acid")
    )
    assert reading == "A"
