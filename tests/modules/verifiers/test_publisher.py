"""The rules of benchmarks' publishers, held against what was worked out by hand."""

import inspect
import time
from collections import Counter
from dataclasses import replace

import pytest

from modules.verifiers import publisher as official
from modules.verifiers import publisher_rules as official_rules
from modules.verifiers.publisher import OfficialScore, official_score, official_summary
from modules.verifiers.verify import verify
from tests.golden_choices import VOICES, golden_sample
from tests.golden_official import asked
from tests.golden_official_omni import OFFICIAL, SET_SAMPLE, SETS, told

SOURCES = {sample.source for sample, _ in OFFICIAL}
UNKNOWN = ("uno_bench", "mmvu", "video_mmmu", "longvideobench", "audiomcq", "digits")


def outcome(right, parsed):
    return "right" if right else "wrong" if parsed else "unread"


def ours(completion, sample):
    verdict = verify(completion, sample=sample)
    return outcome(verdict.correct, verdict.parsed)


def scored(sample, completion):
    """Pair a sample with its score, as a summary takes them."""
    score = official_score(sample, completion)
    assert score is not None
    return sample, score


def summed(sample, *completions):
    """Sum up completions to one question; None is one that could not be shown."""
    pairs = [scored(sample, completion or "") for completion in completions]
    return official_summary(sample.source, pairs, completions)


@pytest.mark.parametrize(("sample", "row"), OFFICIAL)
def test_completions_are_scored_as_worked_out_by_hand(sample, row):
    published, verified, completion = row
    score = official_score(sample, completion)
    assert (outcome(score.score == 1, score.parsed), ours(completion, sample)) == (
        published,
        verified,
    )
    assert score.score in (0.0, 1.0)


@pytest.mark.parametrize(("f1", "verified", "completion"), SETS)
def test_sets_earn_the_f1_of_their_texts(f1, verified, completion):
    score = official_score(SET_SAMPLE, completion)
    assert score.rule == "tag_f1"
    assert score.score == pytest.approx(f1 or 0.0)
    assert (score.parsed, ours(completion, SET_SAMPLE)) == (f1 is not None, verified)


def test_the_table_has_all_rules_and_outcomes_and_shows_both_ways_of_being_wrong():
    rows = [(sample.source, row[0]) for sample, row in OFFICIAL]
    assert len(OFFICIAL) + len(SETS) >= 200
    assert Counter(source for source, _ in rows).keys() == SOURCES
    for source in SOURCES:
        assert {word for name, word in rows if name == source} >= {"right", "wrong"}, source
    disagreements = {(row[0], row[1]) for _, row in OFFICIAL}
    assert {("right", "wrong"), ("right", "unread"), ("wrong", "right"), ("unread", "right")} <= (
        disagreements
    )
    listed = Counter((sample, row[2]) for sample, row in OFFICIAL)
    assert max(listed.values()) == 1


WRITTEN = {  # an option as its publisher's prompt wants it answered
    **dict.fromkeys(("mmau", "mmar"), "{text}"),
    **dict.fromkeys(("mmsu", "daily_omni", "video_mme", "worldsense"), "{letter}"),
    **dict.fromkeys(("omnibench", "av_odyssey", "omnivideobench"), "{letter}"),
    "video_holmes": "<think>...</think><answer>{letter}</answer>",
    "intentbench": "<answer>{letter}</answer>",
}


@pytest.mark.parametrize("source", WRITTEN)
@pytest.mark.parametrize("answer", "ABCD")
def test_the_right_option_scores_all_and_each_other_nothing(source, answer):
    """In lower case: OmniBench's script takes "A man" for the letter A, in the key too."""
    voices = [voice.lower() for voice in VOICES]
    sample = asked(source, answer, *voices)
    for letter, text in zip("ABCD", voices, strict=True):
        said = WRITTEN[source].format(letter=letter, text=text)
        score = official_score(sample, said)
        assert (score.score, score.parsed) == (float(letter == answer), True), said


def test_sources_without_a_known_rule_have_no_official_score():
    for source in UNKNOWN:
        assert official_score(asked(source, "B", *VOICES), "B") is None


def test_questions_of_a_type_that_a_rule_does_not_know_have_none_either():
    assert official_score(told("mmau", "text", "a dog"), "a dog") is None
    assert official_score(told("cg_av_counting", "choice", "B", *VOICES), "B") is None
    assert official_score(told("intentbench", "number", "3"), "<answer>3</answer>") is None


def test_letters_are_those_of_the_order_in_which_options_were_asked():
    """The woman is B as published and D as asked: the letter follows, the text stays."""
    turned = asked("daily_omni", "D", "A robot", "A man", "A child", "A woman")
    assert official_score(turned, "D").score == 1
    assert official_score(replace(turned, source="mmau"), "A woman").score == 1


def test_a_completion_that_a_script_would_answer_for_is_unread_and_wrong():
    """AV-Odyssey's script takes A where it finds nothing; others choose at random."""
    silent = official_score(asked("av_odyssey", "A", *VOICES), "nothing to hear")
    assert silent == OfficialScore(score=0.0, parsed=False, rule="any_capital")


def test_scores_know_no_chance():
    sources = inspect.getsource(official) + inspect.getsource(official_rules)
    assert "random" not in sources.replace("at random", "")


def test_mmsu_drops_what_it_cannot_read_but_counts_empty_replies_by_the_letter_before():
    """Nothing is before the first: wrong. "None" is like nothing; "no idea" is dropped, and leaves
    the B before it: of six, "B" and the two empty ones behind it are right.
    """
    said = ["", "B", "None", "no idea", "", None, "D", " \n"]
    summary = summed(asked("mmsu", "B", *VOICES), *said)
    assert summary == {"score": pytest.approx(3 / 6), "counted": 6}


def test_mmsu_compares_the_texts_of_letters_for_empty_replies_too():
    """The letter before was A, and A says here what C says."""
    first, second = asked("mmsu", "B", "x", "y", "z"), asked("mmsu", "C", "x", "y", "x")
    pairs = [scored(first, "A"), scored(second, "")]
    assert official_summary("mmsu", pairs, ["A", ""]) == {"score": 0.5, "counted": 2}


def test_omnivideobench_takes_some_replies_for_its_own_notes():
    """Two of these begin as its notes of films that failed, one after its thought: not counted."""
    said = ["B", "Error: I hear nothing.", "<think>Hm.</think>Video file not found", "error: no"]
    summary = summed(asked("omnivideobench", "B", *VOICES), *said)
    assert summary == {"score": pytest.approx(1 / 2), "counted": 2}


def test_counts_that_were_never_asked_are_no_rows():
    """7, nothing, and a film that could not be read: one right of two, errors 0 and 7."""
    summary = summed(told("cg_av_counting", "number", "7"), "7", "", None)
    assert (summary["score"], summary["counted"], summary["mae"]) == (0.5, 2, 3.5)


WRITTEN_NUMBERS = {  # what word2number 1.1 makes of them
    **{"7": 7, "-7": None, "7\n": None, " 7": None, "007": 7, "\u0663": 3, "\u00b2": None},
    **{"": None, "dogs": None, "seven": 7, "Seven-and-TWENTY dogs": 27, "zero": 0, "hundred": 100},
    **{"twenty one": 21, "twenty-one hundred": 120, "two hundred": 200, "hundred two": 200},
    **{"one hundred and five": 105, "two hundred thirty one": 231, "three hundred hundred": 400},
    **{"one two three four": 9, "one two three": 5, "one two three four five": 1},
    **{"thousand": 1000, "thousand five": None, "hundred thousand": 100_000, "million": 10**6},
    **{"two thousand and three": 2003, "two million three thousand": 2_004_003},
    **{"one million two thousand": 1_003_002, "one billion two million": 1_003_000_002},
    **{"one billion two thousand five": 1_000_002_005, "two million million": None},
    **{"two thousand million": None, "one million one billion": None, "six million": 6 * 10**6},
    **{"point": 0, "point five": 0.5, "seven point five": 7.5, "five point": 5},
    **{"seven point one zero five": 7.105, "seven point ten": 7, "one point two point": None},
    **{"one hundred point five thousand": 100, "five. point two": 0.2},
}


@pytest.mark.parametrize("said", WRITTEN_NUMBERS)
def test_number_words_are_read_as_the_package_reads_them(said):
    assert official_rules.count(said) == pytest.approx(WRITTEN_NUMBERS[said])


def test_intentbench_averages_f1_with_the_rest():
    """(1 + 0 + 2 * 2 / 5) / 3 = 0.6."""
    choice = asked("intentbench", "B", *VOICES)
    rows = [
        (choice, "<answer>B</answer>"),
        (choice, "B"),
        (SET_SAMPLE, "<answer>A,C,E</answer>"),
    ]
    pairs = [scored(*row) for row in rows]
    summary = official_summary("intentbench", pairs, [said for _, said in rows])
    assert summary == {"score": pytest.approx(0.6), "counted": 3}


def test_the_four_metrics_of_counting_by_hand():
    """Five counts: errors 0, 1, 5 (unread, so 0), 5, and 994, which is over max(12, 100): 12.

    score       1 of 5
    off by one  2 of 5
    mae         (0 + 1 + 5 + 5 + 12) / 5 = 4.6
    rmse        sqrt((0 + 1 + 25 + 25 + 144) / 5) = sqrt(39)
    """
    rows = [("7", "7"), ("3", "two"), ("5", "many"), ("90", "85"), ("6", "1000")]
    pairs = [scored(told("cg_av_counting", "number", right), said) for right, said in rows]
    summary = official_summary("cg_av_counting", pairs, [said for _, said in rows])
    assert summary == {
        "score": pytest.approx(0.2),
        "counted": 5,
        "off_by_one": pytest.approx(0.4),
        "mae": pytest.approx(4.6),
        "rmse": pytest.approx(39**0.5),
    }


def test_an_error_is_bounded_from_twice_the_answer_or_a_hundred():
    """Of 60, 180 is off by 120 = 2 * 60, which stands; 181 is off by 121, and counts as 120."""
    sample = told("cg_av_counting", "number", "60")
    assert summed(sample, "180")["mae"] == 120
    assert summed(sample, "181")["mae"] == 120
    assert summed(replace(sample, answer="10"), "110")["mae"] == 100
    assert summed(replace(sample, answer="10"), "111")["mae"] == 20


def test_an_unread_count_is_wrong_even_where_it_would_be_near():
    """The published script puts 0, which is off by one from 1, and right where nothing is there."""
    none, one = (told("cg_av_counting", "number", answer) for answer in "01")
    assert official_score(none, "none at all").score == 0
    assert summed(one, "many") == {
        "score": 0,
        "counted": 1,
        "off_by_one": 1,
        "mae": 1,
        "rmse": 1,
    }


def test_a_count_of_more_digits_than_a_float_has_is_unread():
    sample = told("cg_av_counting", "number", "7")
    assert official_score(sample, "9" * 300).parsed
    assert not official_score(sample, "9" * 301).parsed
    assert not official_score(sample, "9" * 6000).parsed


def test_a_summary_of_nothing_is_zero():
    assert official_summary("mmau", [], []) == {"score": 0, "counted": 0}
    assert official_summary("cg_av_counting", [], [])["rmse"] == 0


def test_a_summary_wants_a_completion_for_each_score():
    pair = scored(golden := asked("mmau", "B", *VOICES), "A woman")
    with pytest.raises(ValueError, match="shorter"):
        official_summary(golden.source, [pair], [])


@pytest.mark.parametrize(
    "said",
    [
        "<answer>" * 16_000,
        "<answer></answer>" * 8_000,
        "<think>" * 18_000,
        "<think></think>" * 8_000,
        "\\boxed{" * 18_000,
        "/box{\\boxed{}" * 9_000,
        "(A) A. A " * 14_000,
        "three million " * 9_000,
        "A" * 128_000,
        "\ud83d" * 1_000,
    ],
)
def test_a_runaway_completion_costs_no_more_than_a_long_one(said):
    """128,000 characters, through every rule; the obvious expressions are quadratic in them."""
    started = time.process_time()
    for source in SOURCES - {"cg_av_counting"}:
        assert official_score(asked(source, "B", *VOICES), said) is not None
    assert official_score(told("cg_av_counting", "number", "7"), said) is not None
    assert time.process_time() - started < 8  # and minutes where one is quadratic


def test_a_lone_sample_of_the_helper_has_no_publisher():
    assert official_score(golden_sample("choice", "B", *VOICES), "B") is None
