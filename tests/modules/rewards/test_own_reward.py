"""Rewards of the user's own: parts like the built-in ones."""

from pathlib import Path

import pytest

from configs.load import load_config
from configs.rewards import RewardConfig
from datamodules.sample import Sample
from modules.rewards.completion import GradedCompletion
from modules.rewards.verifier_reward import RewardContext, RewardResult, reward_group
from modules.verifiers.verify import verify
from runtime.plugins import PluginError
from tests.conftest import make_sample

LENGTH = "def shortness(question, completion, facts):\n    return 1 - completion.tokens / 8\n"
SAMPLE = make_sample("q7", facts={"level": "-0.25"})  # its answer is B
TEXTS = ("<answer>B</answer>", "<answer>A</answer>", "nothing")


def settings(tmp_path: Path, source: str, *names: str, **words: object) -> RewardConfig:
    (tmp_path / "my.py").write_text(source)
    listed = ",".join(f"{tmp_path}/my.py:{name}" for name in names)
    given = [f"rlvr.reward.{key}={value}" for key, value in words.items()]
    words_ = ["stage=rlvr", f"rlvr.reward.plugins=[{listed}]", *given]
    return load_config(words_, ("rlvr",)).rlvr.reward


def rewarded(config: RewardConfig, sample: Sample = SAMPLE) -> list[RewardResult]:
    group = [
        GradedCompletion(
            text=text, tokens=tokens, finished=True, verdict=verify(text, sample=SAMPLE)
        )
        for text, tokens in zip(TEXTS, (2, 4, 6), strict=True)
    ]
    return reward_group(group, sample, config, RewardContext(step=0, max_tokens=16))


def test_a_reward_of_ones_own_is_a_part_with_a_weight(tmp_path):
    """Shortness is 1 - 2/8 = 0.75, 0.5 and 0.25, with weight 0.4; 0.9 for a right answer, 0.1 for
    the form: 0.9 + 0.1 + 0.3 = 1.3, 0.1 + 0.2 = 0.3, and 0.1."""
    results = rewarded(settings(tmp_path, LENGTH, "shortness:0.4"))
    assert [one.reward for one in results] == pytest.approx([1.3, 0.3, 0.1])
    assert [one.parts["shortness"] for one in results] == [0.75, 0.5, 0.25]
    assert list(results[0].parts) == ["accuracy", "format", "shortness"]
    assert [one.filter_score for one in results] == [1, 0, 0]


def test_with_weight_0_it_is_measured_only(tmp_path):
    results = rewarded(settings(tmp_path, LENGTH, "shortness:0"))
    assert [one.reward for one in results] == pytest.approx([1.0, 0.1, 0.0])
    assert results[2].parts["shortness"] == 0.25


def test_it_sees_question_verdict_and_facts(tmp_path):
    source = (
        "def right(question, completion, facts):\n"
        "    assert question.options == ('3', '8', '5') and question.answer == 'B'\n"
        "    return completion.verdict.correct\n"
        "def level(question, completion, facts):\n    return float(facts['level'])\n"
    )
    results = rewarded(settings(tmp_path, source, "right", "level:2", accuracy=0, format=0))
    assert [one.reward for one in results] == [0.5, -0.5, -0.5]


def test_it_cannot_change_the_facts(tmp_path):
    source = "def f(question, completion, facts):\n    facts['level'] = '1'\n    return 0\n"
    with pytest.raises(PluginError, match="does not support item assignment"):
        rewarded(settings(tmp_path, source, "f"))


def test_what_fails_names_the_completion_and_the_question(tmp_path):
    source = "def f(question, completion, facts):\n    return completion.tokens\n"
    with pytest.raises(PluginError) as error:
        rewarded(settings(tmp_path, source, "f"))
    assert str(error.value) == (
        f"f of {tmp_path}/my.py returned 2 for the completion '<answer>B</answer>' of question "
        "'q7', but returns a number from -1 to 1: mend the function."
    )
