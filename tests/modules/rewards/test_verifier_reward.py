"""Rewards of a completion, part by part, with numbers worked by hand."""

import importlib.util
import math
import random

import pytest

from bench.verifiers import SAMPLES, completions, nothing
from configs.rewards import RewardConfig
from configs.rlvr import RlvrConfig
from datamodules.sample import Media, Sample
from modules.rewards.completion import Completion, GradedCompletion
from modules.rewards.verifier_reward import (
    Group,
    RewardContext,
    VerifierReward,
    accuracy,
    matches_exactly,
    reward_group,
    weights_at,
)
from modules.verifiers.verify import verify, verify_all

FILM = (Media(modality="video", path="film.mp4"),)


def ask(**fields: object) -> Sample:
    standard = {
        "id": "q1",
        "question": "Which barks?",
        "options": ("a cat", "a dog", "an owl"),
        "answer": "B",
        "answer_type": "choice",
        "source": "test",
        "asset_id": "a",
        "content_hash": "0" * 32,
    }
    return Sample(**standard | fields)


def say(
    answer: str, sample: Sample | None = None, *, tokens: int = 400, finished: bool = True
) -> GradedCompletion:
    text = f"<answer>{answer}</answer>"
    verdict = verify(text, sample=sample or ask())
    return GradedCompletion(text=text, tokens=tokens, finished=finished, verdict=verdict)


def context(**fields: object) -> RewardContext:
    return RewardContext(**{"step": 0, "max_tokens": 1000} | fields)


def column(
    name: str, group: list[GradedCompletion], config: RewardConfig, **fields: object
) -> list[float]:
    sample = fields.pop("sample", ask(media=FILM))
    return [one.parts[name] for one in reward_group(group, sample, config, context(**fields))]


def test_accuracy_and_format_are_always_there_and_others_with_a_weight():
    plain = reward_group([say("B"), say("C")], ask(), RewardConfig(), context())
    assert plain[0].parts == {"accuracy": 1.0, "format": 1.0}
    assert plain[1].parts == {"accuracy": 0.0, "format": 1.0}
    config = RewardConfig(temporal=0.3, length=0.2, overlong=1, blind=0.5)
    [full] = reward_group([say("B")], ask(), config, context())
    assert [*full.parts] == ["accuracy", "format", "temporal", "length", "overlong", "blind"]
    assert [*weights_at(0, config)] == [*full.parts]


def test_a_reward_is_the_weighted_sum_of_its_parts():
    """A film; 2 of 3 right, never with frames shuffled: 2 * 1 + 0.5 * 1 + 0.3 * 1 = 2.8, by
    AudioMCQ's weights and Video-R1's bonus."""
    config = RewardConfig(accuracy=2, format=0.5, temporal=0.3)
    group = [say("B"), say("C"), say("B")]
    found = reward_group(group, ask(media=FILM), config, context(shuffled_accuracy=0.0))
    assert [one.reward for one in found] == pytest.approx([2.8, 0.5, 2.8])
    assert [one.verdict.extracted for one in found] == ["B", "C", "B"]


def test_omniboost_begins_with_form_and_turns_at_the_given_step():
    """2605.12034: 0.2 and 0.8 for 500 steps, the first of which is 0; then 0.9 and 0.1."""
    config = RewardConfig(early_steps=500, early_accuracy=0.2, early_format=0.8)
    assert weights_at(0, config) == weights_at(499, config) == {"accuracy": 0.2, "format": 0.8}
    assert weights_at(500, config) == {"accuracy": 0.9, "format": 0.1}
    assert weights_at(0, RewardConfig()) == {"accuracy": 0.9, "format": 0.1}


def test_graded_accuracy_is_the_score_and_correct_is_all_or_nothing():
    """One of two colors, and nothing else: precision 1, recall 1/2, F1 2/3."""
    sample = ask(options=(), answer="red, blue", answer_type="set")
    half = say("blue", sample)
    assert accuracy(half, sample, RewardConfig(accuracy_rule="graded")) == pytest.approx(2 / 3)
    assert accuracy(half, sample, RewardConfig()) == 0.0
    assert accuracy(say("blue, red", sample), sample, RewardConfig()) == 1.0


@pytest.mark.parametrize(
    ("completion", "right"),
    [
        ("<answer>a dog</answer>", True),
        ("So: <answer> A Dog\n</answer>", True),
        ("<answer>b</answer> or <answer>C</answer>", True),
        ("<answer>C</answer> no, <answer>B</answer>", False),
        ("<answer>B.</answer>", False),
        ("<answer>B. a dog</answer>", False),
        (" A dog ", True),
        ("B", True),
        ("It is a dog", False),
        ("<answer>B", False),
        ("</answer><answer>B</answer>", True),
        ("<answer></answer>B", False),
        ("", False),
    ],
)
def test_audiomcq_compares_the_first_answer_letter_for_letter(completion, right):
    assert matches_exactly(completion, ask()) is right


def test_a_letter_that_is_an_options_text_means_the_letter():
    """The options are C, A and B: answering "A" names the first, whatever the second says."""
    sample = ask(options=("C", "A", "B"), answer="B")
    assert matches_exactly("B", sample)
    assert not matches_exactly("A", sample)


def test_no_exact_answer_is_empty():
    assert not matches_exactly("", ask(options=("", "a dog"), answer="A"))


@pytest.mark.parametrize(("shuffled", "bonus"), [(0.83, 1.0), (0.84, 0.0), (0.0, 1.0)])
def test_right_answers_to_a_video_are_rewarded_where_order_helps(shuffled, bonus):
    """2 of 3 right; 0.8 * 0.83 = 0.664 is below, and 0.8 * 0.84 = 0.672 above it."""
    config = RewardConfig(temporal=0.3)
    group = [say("B"), say("B"), say("C")]
    assert column("temporal", group, config, shuffled_accuracy=shuffled) == [bonus, bonus, 0.0]


def test_order_gives_nothing_where_it_was_not_measured_or_nothing_moves():
    config, group = RewardConfig(temporal=0.3), [say("B")]
    assert column("temporal", group, config) == [0.0]
    assert column("temporal", group, config, sample=ask(), shuffled_accuracy=0.0) == [0.0]


def test_right_answers_of_the_right_length_are_rewarded_where_several_are_right():
    """Both ends of 320 to 512 belong to the window; a wrong answer is never rewarded."""
    config = RewardConfig(length=0.2)
    lengths = [("B", 319), ("B", 320), ("B", 512), ("B", 513), ("C", 400)]
    group = [say(answer, tokens=tokens) for answer, tokens in lengths]
    assert column("length", group, config) == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert column("length", [say("B"), say("C")], config) == [0.0, 0.0]


def test_a_score_of_a_tenth_is_not_right_yet():
    """7 off 8 of 10: 1 - 9/10 = 0.1; one closer is 0.2 and right."""
    sample = ask(options=(), answer="10", answer_type="regression")
    config = RewardConfig(length=0.2, accuracy_rule="graded")
    group = [say(answer, sample) for answer in ("1", "2", "10")]
    assert column("accuracy", group, config, sample=sample) == pytest.approx([0.1, 0.2, 1.0])
    assert column("length", group, config, sample=sample) == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("tokens", "finished", "charge"),
    [(800, True, 0), (801, True, -0.005), (850, True, -0.25), (1000, True, -1), (3, False, -1)],
)
def test_the_last_tokens_before_the_limit_are_charged_evenly(tokens, finished, charge):
    """DAPO's equation 13, limit 1000, its last fifth charged: (800 - tokens) / 200."""
    config = RewardConfig(overlong=1, overlong_share=0.2)
    [found] = column("overlong", [say("C", tokens=tokens, finished=finished)], config)
    assert found == pytest.approx(charge)


def test_what_is_guessed_without_media_earns_no_bonus():
    """Blind it is right three times in four: a quarter is left."""
    config, group = RewardConfig(blind=0.5), [say("B"), say("C")]
    assert column("blind", group, config, blind_accuracy=0.75) == [0.25, 0.0]
    assert column("blind", group, config, blind_accuracy=1.0) == [0.0, 0.0]
    assert column("blind", group, config) == [0.0, 0.0]


def test_the_format_rule_is_that_of_the_config():
    text = "A dog barks. <answer>B</answer>"
    said = GradedCompletion(text=text, tokens=9, finished=True, verdict=verify(text, sample=ask()))
    forms = {
        rule: column("format", [said], RewardConfig(format_rule=rule))
        for rule in ("answer", "whole", "think")
    }
    assert forms == {"answer": [1.0], "whole": [0.0], "think": [0.0]}


def test_a_reward_that_is_no_number_stops_and_names_the_sample():
    with pytest.raises(ValueError, match=r"'q1' is inf, from .* finite number: set"):
        reward_group([say("B")], ask(), RewardConfig(accuracy=1e308, format=1e308), context())
    with pytest.raises(ValueError, match=r"'q1' is nan"):
        reward_group([say("B")], ask(), RewardConfig(blind=1), context(blind_accuracy=math.nan))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.answer_type)
def test_no_hostile_completion_raises_and_nothing_is_never_right(sample):
    """A small helping of what `bench/verifiers.py` serves."""
    if sample.answer_type == "math" and importlib.util.find_spec("math_verify") is None:
        pytest.skip("math-verify is not installed")
    count = 10 if sample.answer_type == "math" else 80  # 570 in all
    hostile = completions(sample, count, seed=1)
    verdicts = verify_all(hostile, [sample] * count)
    group = [
        GradedCompletion(text=text, tokens=9, finished=True, verdict=verdict)
        for text, verdict in zip(hostile, verdicts, strict=True)
    ]
    for rule in ("correct", "graded", "exact"):
        config = RewardConfig(accuracy_rule=rule)
        found = reward_group(group, sample, config, context())
        assert all(0 <= one.parts["accuracy"] <= 1 for one in found)
    empty = [nothing(random.Random(seed), sample) for seed in range(40)]
    assert not any(verdict.correct for verdict in verify_all(empty, [sample] * 40))


def completion(answer: str, tokens: int = 4) -> Completion:
    return Completion(text=f"<answer>{answer}</answer>", tokens=tokens, finished=True)


def verifier_reward(**reward: float) -> VerifierReward:
    return VerifierReward(
        RlvrConfig(group_size=5, max_completion_tokens=10, reward=RewardConfig(**reward))
    )


def test_other_views_are_asked_where_a_bonus_has_a_weight():
    """Five completions are numbered 0 to 4; three without media follow; then half a group. The
    numbers of one view do not depend on whether the other is asked."""
    assert verifier_reward().extra_views == {}
    assert verifier_reward(blind=0.5, blind_samples=3).extra_views == {"blind": range(5, 8)}
    assert verifier_reward(temporal=0.3, blind_samples=3).extra_views == {"shuffled": range(8, 10)}
    assert [*verifier_reward(temporal=0.3, blind=1).extra_views] == ["blind", "shuffled"]


def test_a_reward_compares_every_group_with_its_own_other_showing():
    """q1 is right without media once in 4: 3/4 of the bonus is left. q2 has no other showing."""
    said = [completion("B"), completion("C")]
    blind = [completion(answer) for answer in "BACC"]
    groups = [
        Group(sample=ask(id="q1"), completions=said, extra={"blind": blind}),
        Group(sample=ask(id="q2", answer="C"), completions=said),
    ]
    first, second = verifier_reward(blind=2.0)(groups, step=0)
    assert [one.parts["blind"] for one in first] == [0.75, 0.0]
    assert [one.reward for one in first] == pytest.approx([0.9 + 0.1 + 1.5, 0.1])
    assert [one.reward for one in second] == pytest.approx([0.1, 1.0])
    assert [one.verdict.correct for one in second] == [False, True]


def test_a_reward_depends_on_the_step_and_the_limit():
    """Form first; then 10 of at most 10 tokens, a fifth of which is charged, cost all of it."""
    asked = [Group(sample=ask(), completions=[completion("B", tokens=10)])]
    strict = verifier_reward(early_steps=3, overlong=0.5)
    [[early]], [[late]] = strict(asked, step=2), strict(asked, step=3)
    assert early.reward == pytest.approx(0.2 + 0.8 - 0.5)
    assert late.reward == pytest.approx(0.9 + 0.1 - 0.5)
