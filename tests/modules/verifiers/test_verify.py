"""What counts as right, what counts as read, and that nothing is ever guessed."""

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from modules.verifiers import extraction, similarity
from modules.verifiers import parsing as readings
from modules.verifiers import verify as verifiers
from modules.verifiers.verify import NOTHING, verify, verify_all
from tests.golden_choices import CHOICES, TEN, VOICES, golden_sample
from tests.golden_completions import GOLDEN, GOLDEN_MATH, MATH, NUMBERS, WORDS

ROOT = Path(__file__).parents[3]
HAS_MATH = importlib.util.find_spec("math_verify") is not None
needs_math = pytest.mark.skipif(not HAS_MATH, reason="math-verify is not installed")


def told(completion, sample):
    """Sum a verdict up as the golden tables do."""
    verdict = verify(completion, sample=sample)
    outcome = "right" if verdict.correct else "wrong" if verdict.parsed else "unread"
    return outcome, f"{verdict.container or '-'}/{verdict.rule}"


@pytest.mark.parametrize(("sample", "row"), GOLDEN)
def test_golden_completions_are_judged_as_listed(sample, row):
    outcome, how, completion = row
    assert told(completion, sample) == (outcome, how)


@needs_math
@pytest.mark.parametrize(("sample", "row"), GOLDEN_MATH)
def test_golden_expressions_are_judged_as_listed(sample, row):
    outcome, how, completion = row
    assert told(completion, sample) == (outcome, how)


def test_the_golden_tables_cover_every_type_and_outcome_and_list_nothing_twice():
    rows = GOLDEN + GOLDEN_MATH
    seen = {(sample.answer_type, outcome) for sample, (outcome, _, _) in rows}
    kinds = ("choice", "number", "regression", "set", "yes_no", "text", "ocr", "math")
    assert len(rows) >= 400
    assert seen == {(kind, outcome) for kind in kinds for outcome in ("right", "wrong", "unread")}
    counts = Counter((sample, completion) for sample, (_, _, completion) in rows)
    assert max(counts.values()) == 1


@pytest.mark.parametrize("sample", [sample for sample, _ in CHOICES + NUMBERS + WORDS])
def test_the_reference_answer_itself_is_always_right(sample):
    for given in (f"I hear: <answer>{sample.answer}</answer>", f"\\boxed{{{sample.answer}}}"):
        verdict = verify(given, sample=sample)
        assert (verdict.correct, verdict.score) == (True, 1.0)


@needs_math
@pytest.mark.parametrize("sample", [sample for sample, _ in MATH])
def test_a_reference_expression_itself_is_right(sample):
    assert verify(f"<answer>{sample.answer}</answer>", sample=sample).correct


@pytest.mark.parametrize("n_options", range(2, 11))
def test_of_all_letters_texts_and_numbers_only_the_right_option_counts(n_options):
    options = TEN[:n_options]
    for right, letter in enumerate("ABCDEFGHIJ"[:n_options]):
        sample = golden_sample("choice", letter, *options)
        for number, (given, text) in enumerate(zip("ABCDEFGHIJ", options, strict=False)):
            for words in (
                given,
                text,
                f"{given}. {text}",
                f"Option {given}",
                f"option {number + 1}",
            ):
                for completion in (f"<answer>{words}</answer>", f"\\boxed{{{words}}}", words):
                    verdict = verify(completion, sample=sample)
                    assert verdict.parsed and verdict.correct == (number == right), completion


@pytest.mark.parametrize("sample", [sample for sample, _ in CHOICES])
def test_no_option_is_right_but_one(sample):
    """However the options read, some texts mean none of them, and no second letter is right."""
    letters = [verify(f"<answer>{one}</answer>", sample=sample).correct for one in sample.letters]
    texts = [verify(f"<answer>{one}</answer>", sample=sample).correct for one in sample.options]
    right = sample.letters.index(sample.answer)
    assert letters == [place == right for place in range(len(letters))]
    if sample.options[:2] != ("B", "A"):  # where letters stand for one another's texts
        assert not any(said for place, said in enumerate(texts) if place != right)


def test_a_lone_letter_is_never_read_as_another_options_text():
    verdict = verify("<answer>A</answer>", sample=golden_sample("choice", "A", "B", "A"))
    assert (verdict.rule, verdict.correct) == ("letter", True)


def test_many_completions_are_judged_as_each_alone():
    samples = [sample for sample, _ in GOLDEN]
    completions = [completion for _, (_, _, completion) in GOLDEN]
    alone = [verify(text, sample=one) for text, one in zip(completions, samples, strict=True)]
    assert verify_all(completions, samples) == alone
    assert verify_all([], []) == []


@needs_math
def test_expressions_keep_their_places_among_other_answers():
    half, b = golden_sample("math", "\\frac12"), golden_sample("choice", "B", *VOICES)
    given = ["<answer>B</answer>", "\\boxed{0.5}", "1/2", "\\boxed{3}", "\\boxed{\\frac{3}{6}}"]
    verdicts = verify_all(given, [b, half, half, half, half])
    assert [verdict.correct for verdict in verdicts] == [True, True, False, False, True]
    assert verdicts[2] == NOTHING


@pytest.mark.skipif(HAS_MATH, reason="math-verify is installed")
def test_expressions_without_the_package_are_an_error_and_not_wrong():
    with pytest.raises(ValueError, match=r"math-verify.*pip install"):
        verify("\\boxed{3}", sample=golden_sample("math", "\\frac12"))


def test_a_set_is_credited_by_its_f1():
    """Two of three named, and one besides: 2 * 2 / (3 + 3)."""
    sample = golden_sample("set", "red, blue, green")
    assert verify("<answer>red, blue, black</answer>", sample=sample).score == pytest.approx(2 / 3)
    assert verify("<answer>black</answer>", sample=sample).score == 0
    assert verify("<answer>green, blue, red</answer>", sample=sample).score == 1


def test_a_text_is_credited_by_the_mean_of_three_rouges():
    """Of "a b c d", "a b x" has 2 words of 3, 1 pair of 2, and 2 words in order:

    ROUGE-1 4/7, ROUGE-2 2/5, ROUGE-L 4/7; a right answer earns 1, though one word has no pairs.
    """
    credit = verify("<answer>A b x!</answer>", sample=golden_sample("text", "a b c d")).score
    assert credit == pytest.approx((4 / 7 + 2 / 5 + 4 / 7) / 3)
    assert verify("<answer>Dog</answer>", sample=golden_sample("text", "dog")).score == 1


def test_a_reading_is_credited_by_its_word_error_rate():
    """One word of four changed and one too many: 1 - 2/4; five wrong ones are not below 0."""
    sample = golden_sample("ocr", "No exit this way")
    assert verify("<answer>no exit that way out</answer>", sample=sample).score == 0.5
    assert verify("<answer>v w x y z</answer>", sample=sample).score == 0


def test_a_measurement_is_credited_by_its_relative_error():
    """4 for 3.2 is off by a quarter, as -3 is for -4, and -1 by more than all of it.

    3.4 is within the tolerance.
    """
    sample = golden_sample("regression", "3.2", tolerance=0.25)
    assert verify("<answer>4</answer>", sample=sample).score == pytest.approx(0.75)
    assert verify("<answer>-1</answer>", sample=sample).score == 0
    assert verify("<answer>1e100</answer>", sample=sample).score == 0
    assert verify("<answer>3.4</answer>", sample=sample).score == 1
    below, zero = golden_sample("regression", "-4"), golden_sample("regression", "0")
    assert verify("<answer>-3</answer>", sample=below).score == 0.75
    assert verify("<answer>0.1</answer>", sample=zero).score == 0


def test_what_is_right_earns_one_and_what_is_unread_nothing():
    for sample, (_, _, completion) in GOLDEN:
        verdict = verify(completion, sample=sample)
        assert 0 <= verdict.score <= 1
        assert verdict.correct == (verdict.score == 1)
        assert verdict.parsed or verdict.score == 0
        if sample.answer_type in ("choice", "number", "yes_no"):
            assert verdict.score in (0, 1)


@pytest.mark.parametrize(
    "sample", [golden_sample("text", "x"), golden_sample("set", "x"), golden_sample("math", "x")]
)
@pytest.mark.parametrize(
    "nothing", ["", " ", "<answer></answer>", "<answer>\n</answer>", "\\boxed{}", "\u200b"]
)
def test_nothing_said_is_nothing_read(sample, nothing):
    assert verify(nothing, sample=sample) == NOTHING


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (golden_sample("choice", "E", *VOICES), "golden: .*'E' is no choice among 4 .*drop it"),
        (golden_sample("text", ""), "'' is no text among 0 options"),
        (golden_sample("math", " "), "' ' is no math"),
        (golden_sample("ocr", "?!"), "'\\?!' is no ocr"),
        (golden_sample("yes_no", "maybe"), "'maybe' is no yes_no"),
        (golden_sample("number", "1,23"), "'1,23' is no number"),
        (golden_sample("regression", "3 m"), "'3 m' is no regression"),
    ],
)
def test_an_answer_that_no_completion_could_match_is_refused(sample, why):
    with pytest.raises(ValueError, match=why):
        verify(f"<answer>{sample.answer}</answer>", sample=sample)


@pytest.mark.parametrize("n_options", [0, 1, 11])
def test_a_choice_needs_two_to_ten_options(n_options):
    options = tuple(f"option {i}" for i in range(n_options))
    sample = replace(golden_sample("choice", "A"), options=options)
    with pytest.raises(ValueError, match=f"among {n_options} options .* 2 to 10"):
        verify("<answer>A</answer>", sample=sample)


@pytest.mark.parametrize(
    "pattern",
    [
        "<answer>",
        "</answer>",
        "<answer>B",
        "</answer><answer>",
        "<answer>" * 9 + "B,",
        "<think>",
        "</think><answer>",
        "\\boxed{",
        "\\boxed{B",
        "\\",
        "{}",
        "\\text{$",
    ],
)
def test_repeated_marks_cost_no_more_than_reading_them(pattern):
    """Judging 200 of them takes seconds at most; a quadratic search would need minutes."""
    completion = (pattern * (131_072 // len(pattern) + 1))[:131_072]
    both = [golden_sample("choice", "B", *VOICES), golden_sample("set", "red")] * 100
    assert not any(verdict.correct for verdict in verify_all([completion] * 200, both))


@pytest.mark.parametrize("answer_type", ["text", "ocr", "set"])
def test_long_answers_cost_little_and_gain_nothing(answer_type):
    sample = golden_sample(answer_type, "red dog")
    for words in ("red dog " * 8_000, "red, dog, " * 8_000, "r " * 16_000):
        verdict = verify(f"<answer>{words}</answer>", sample=sample)
        assert verdict.score < 0.01


def test_no_verdict_rests_on_chance_or_on_a_regular_expression():
    imported = {
        name.name if isinstance(node, ast.Import) else node.module
        for part in (extraction, readings, similarity, verifiers)
        for node in ast.walk(ast.parse(inspect.getsource(part)))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert "decimal" in imported
    assert not imported & {"random", "re", "numpy", "torch", "secrets", "time"}


def test_verdicts_do_not_depend_on_the_order_of_sets():
    """Twenty interpreters, each with another order, give the same verdicts to the last digit."""
    code = (
        "from hashlib import sha256; from modules.verifiers.verify import verify_all;"
        "from tests.golden_completions import GOLDEN;"
        "told = verify_all([row[2] for _, row in GOLDEN], [sample for sample, _ in GOLDEN]);"
        "print(sha256(repr(told).encode()).hexdigest())"
    )
    digests = {
        subprocess.check_output(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": str(seed)}
        )
        for seed in range(20)
    }
    assert len(digests) == 1
