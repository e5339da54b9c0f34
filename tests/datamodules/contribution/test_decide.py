"""Rules over counts: what is weak, what is strong, what is undefined, and what is asked."""

from dataclasses import replace

import numpy as np
import pytest

from datamodules.conditions import why_undefined, withholds
from datamodules.contribution.decide import (
    Counts,
    QuestionFeatures,
    apply_rule,
    contribution,
    is_decided,
    question_features,
)
from datamodules.contribution.presets import (
    PRESETS,
    Vote,
    Voter,
    queries,
)
from datamodules.sample import Media
from tests.conftest import make_sample

AUDIO = Media(modality="audio", path="a.flac")
IMAGE = Media(modality="image", path="a.png")
VIDEO = Media(modality="video", path="a.mp4")


def option(modality):
    return Media(modality=modality, path="o", role="option")


def counts(*pairs):
    """Counts from (n_correct, n) for each question."""
    n_correct, n = np.array(pairs).T
    return Counts(n=n, n_correct=n_correct)


def items(count, *, chance=0.25, closed=True, source="s", undefined=""):
    """Questions alike, or with a list where they differ."""
    return QuestionFeatures(
        chance=np.broadcast_to(np.asarray(chance, float), count),
        closed=np.broadcast_to(np.asarray(closed, bool), count),
        source=np.broadcast_to(np.asarray(source, np.str_), count),
        undefined=np.broadcast_to(np.asarray(undefined, np.str_), count),
    )


def sample(**fields):
    usual = {"options": (), "answer": "A", "source": "s", "media": (VIDEO,)}
    return make_sample(**usual | fields)


def bands(name, *voters, **about):
    rule = PRESETS[name]
    return apply_rule(rule, voters, items(len(voters[0].n), **about)).tolist()


def test_omniclean_calls_weak_what_one_of_sixteen_answers_gets_right():
    found = bands("omniclean", counts((1, 16), (0, 16), (16, 16), (0, 15), (1, 2)), source=["s"])
    assert set(found) == {"unstable"}  # five questions are too few
    rule = replace(PRESETS["omniclean"], min_questions=0)
    voters = [counts((1, 16), (0, 16), (16, 16), (0, 15), (1, 2), (0, 0))]
    found = apply_rule(rule, voters, items(6)).tolist()
    assert found == ["weak", "strong", "weak", "missing", "weak", "missing"]


def test_omniclean_keeps_half_of_its_benchmarks_as_published():
    """2605.12034: 8,551 of 16,968; the counts by benchmark are read back from its scores. Two are
    kept whole: one whose options are media, and one of 376 questions, though both were answered."""
    retained = {
        "daily": (1197, 237),
        "intent": (2689, 660),
        "holmes": (1837, 885),
        "world": (3172, 875),
        "omnibench": (1142, 417),
        "uno": (1000, 228),
        "counting": (376, 0),
        "omnivideo": (1000, 318),
        "odyssey": (4555, 0),
    }
    source = np.repeat(list(retained), [n for n, _ in retained.values()])
    right = np.concatenate([np.arange(n) >= kept for n, kept in retained.values()]).astype(int)
    undefined = np.where(source == "odyssey", "no_audio withholds options", "")
    asked = Counts(n=np.full(len(source), 16), n_correct=right)
    about = items(len(source), source=source, undefined=undefined)
    found = apply_rule(PRESETS["omniclean"], [asked], about)
    assert len(found) == 16_968
    assert (found != "weak").sum() == 8_551
    assert (found[source == "counting"] == "unstable").all()
    assert (found[source == "odyssey"] == "undefined").all()


def test_audiomcq_calls_weak_what_two_of_three_answer_to_silence():
    assert PRESETS["audiomcq"].silence_seconds == 30
    first = counts((1, 1), (1, 1), (0, 1), (1, 1), (1, 1), (0, 1))
    second = counts((1, 1), (0, 1), (0, 1), (1, 1), (0, 1), (0, 0))
    third = counts((1, 1), (0, 1), (1, 1), (0, 0), (0, 0), (1, 1))
    found = bands("audiomcq", first, second, third)
    assert found == ["weak", "strong", "strong", "weak", "missing", "missing"]


def test_vidground_calls_weak_what_one_text_only_pass_answers():
    found = bands("vidground", counts((1, 1), (0, 1), (0, 0)))
    assert found == ["weak", "strong", "missing"]


@pytest.mark.parametrize(("name", "orders"), [("vidground_m1", 2), ("vidground_m2", 4)])
def test_the_consensus_rules_ask_choices_in_turns_and_open_questions_ten_times(name, orders):
    second, third = PRESETS[name].voters[1:]
    assert second == Voter(choice=Vote(orders=orders, needed=orders), open=Vote(answers=10))
    assert third == Voter(choice=Vote(orders=3, needed=3), open=Vote())


def test_a_circular_voter_is_right_only_under_every_order():
    """Choices: voters right; right in 1 of 2 orders; right in all 3, or not. Open: 1 of 10 is."""
    first = counts((1, 1), (1, 1), (1, 1), (0, 1))
    second = counts((2, 2), (1, 2), (1, 2), (1, 10))
    third = counts((0, 3), (2, 3), (3, 3), (1, 1))
    found = bands("vidground_m1", first, second, third, closed=[True, True, True, False])
    assert found == ["weak", "strong", "weak", "weak"]


def test_a_third_model_without_an_answer_is_missing_where_the_others_disagree():
    """The paper keeps such questions: so does on_missing=keep."""
    first, second = counts((1, 1), (1, 1), (0, 1)), counts((2, 2), (0, 2), (0, 2))
    third = counts((0, 0), (0, 0), (0, 0))
    assert bands("vidground_m1", first, second, third) == ["weak", "missing", "strong"]
    found = is_decided(PRESETS["vidground_m1"], [first, second, third], items(3))
    assert found.tolist() == [True, False, True]


def test_with_more_answers_than_asked_the_same_share_is_needed():
    """Two thirds of 6 are 4; two thirds of 4 are more than 2."""
    vote = Vote(answers=3, needed=2)
    rule = replace(PRESETS["vidground"], voters=(Voter(choice=vote, open=vote),))
    found = apply_rule(rule, [counts((4, 6), (3, 6), (3, 4), (2, 4))], items(4))
    assert found.tolist() == ["weak", "strong", "weak", "strong"]


def test_undefined_outweighs_unstable_and_both_outweigh_answers():
    rule = replace(PRESETS["vidground"], min_questions=3)
    about = items(5, source=["a", "a", "b", "b", "b"], undefined=["", "why", "why", "", ""])
    found = apply_rule(rule, [counts((1, 1), (1, 1), (0, 0), (1, 1), (0, 0))], about)
    assert found.tolist() == ["unstable", "undefined", "undefined", "weak", "missing"]


def test_calibrated_tells_the_known_the_needed_and_the_unclear():
    """At 4-way: 12 of 16 is known, 1 of 16 is not; 7 of 16 is neither (tails 0.080 and 0.100)."""
    found = bands("calibrated", counts((12, 16), (1, 16), (7, 16), (0, 0), (6, 9)))
    assert found == ["weak", "strong", "undetermined", "missing", "missing"]


def test_calibrated_prefers_weak_where_both_are_shown():
    """90 of 200 is above 0.25 and below 0.625, both beyond doubt."""
    assert bands("calibrated", counts((90, 200))) == ["weak"]


def test_calibrated_measures_against_each_questions_own_chance():
    found = bands("calibrated", counts((8, 16), (8, 16)), chance=[0.1, 0.5])
    assert found == ["weak", "undetermined"]


def test_calibrated_decides_early_only_what_cannot_change():
    """12 right of 13 stay above chance, and none right of 15 stay short, whatever comes."""
    found = bands("calibrated", counts((12, 13), (0, 15), (5, 13)))
    assert found == ["weak", "strong", "missing"]


def test_soft_needs_a_sure_gain_to_call_strong_and_a_sure_answer_to_call_weak():
    full = counts((16, 16), (16, 16), (2, 16), (9, 16), (16, 16), (16, 16))
    ablated = counts((4, 16), (16, 16), (2, 16), (6, 16), (9, 16), (4, 15))
    found = bands("soft", full, ablated)
    assert found == ["strong", "weak", "undetermined", "undetermined", "strong", "missing"]


def test_contribution_is_the_difference_full_minus_ablated():
    found = contribution(counts((12, 16), (1, 1)), counts((4, 16), (0, 0)), confidence=0.95)
    assert found.estimate[0] == 0.5
    assert 0.1 < found.low[0] < 0.5 < found.high[0] < 0.8
    assert np.isnan(found.estimate[1])


def test_counts_of_other_questions_or_too_few_voters_are_refused():
    with pytest.raises(ValueError, match=r"counts of 2 questions, and 3 questions.*same order"):
        apply_rule(PRESETS["vidground"], [counts((1, 1), (0, 1))], items(3))
    with pytest.raises(ValueError, match=r"There are 1 counts, but audiomcq takes 3: give one"):
        apply_rule(PRESETS["audiomcq"], [counts((1, 1))], items(1))


@pytest.mark.parametrize("rule", PRESETS.values(), ids=PRESETS)
def test_no_questions_need_no_bands(rule):
    nothing = Counts(n=np.zeros(0, np.int64), n_correct=np.zeros(0, np.int64))
    voters = [nothing] * len(queries(rule))
    assert apply_rule(rule, voters, question_features([], "no_audio", "absent")).tolist() == []
    assert is_decided(rule, voters, question_features([], "no_audio", "absent")).tolist() == []


@pytest.mark.parametrize(
    ("condition", "how", "media", "reason"),
    [
        ("no_audio", "silent", [AUDIO], ""),
        ("no_audio", "silent", [VIDEO], ""),
        ("no_audio", "silent", [IMAGE], "no_audio withholds nothing from it"),
        ("no_audio", "silent", [], "no_audio withholds nothing from it"),
        ("no_audio", "silent", [AUDIO, option("image")], ""),
        ("no_audio", "silent", [AUDIO, option("audio")], "no_audio withholds options"),
        ("visual_only", "absent", [IMAGE, option("audio")], "visual_only withholds options"),
        ("visual_only", "absent", [IMAGE], ""),
        ("no_text", "absent", [option("audio")], ""),
        ("no_text", "absent", [], ""),
        ("no_visual", "shuffled", [VIDEO], ""),
        ("no_visual", "shuffled", [IMAGE], "no_visual withholds nothing from it"),
        ("no_audio", "shuffled", [VIDEO], "no_audio withholds nothing from it"),
        ("text_only", "shuffled", [VIDEO, option("audio")], ""),
        ("full", "absent", [option("audio")], ""),
    ],
)
def test_an_ablation_means_something_if_it_takes_anything_but_options(
    condition, how, media, reason
):
    assert why_undefined(condition, how, media) == reason
    assert withholds(media, condition, how) is not reason.endswith("nothing from it")


def test_chance_is_one_of_the_options_or_the_commonest_answer():
    """Numbers of a: 7, 7, 3 -> 2/3, of b: 7 -> 1; yes, yes, no, yes -> 3/4; no, yes -> 1/2."""
    samples = [
        sample(options=("x", "y", "z")),
        *(sample(answer=answer, answer_type="number", source="a") for answer in "773"),
        sample(answer="7", answer_type="number", source="b"),
        *(sample(answer=a, answer_type="yes_no") for a in ("yes", "yes", "no", "yes")),
        *(sample(answer=a, answer_type="yes_no", source="b") for a in ("no", "yes", "maybe")),
    ]
    found = question_features(samples, "text_only", "absent")
    expected = [1 / 3, *[2 / 3] * 3, 1, *[0.75] * 4, *[0.5] * 3]
    assert found.chance.tolist() == pytest.approx(expected)
    assert found.closed.tolist() == [True] + [False] * 11
    assert found.source[3:5].tolist() == ["a", "b"]
