"""Rewards of the user's own: functions that `rlvr.reward.plugins` names."""

from collections.abc import Sequence
from types import MappingProxyType

from configs.plugins import Plugin
from datamodules.sample import Sample
from modules.rewards.completion import GradedCompletion
from runtime.plugins import call, excerpt, load, number


def own_reward(
    plugin: Plugin, sample: Sample, completions: Sequence[GradedCompletion]
) -> list[float]:
    """Reward each completion of a question by itself."""
    function = load("rlvr.reward.plugins", str(plugin))
    facts = MappingProxyType(sample.facts)
    rewards = []
    for one in completions:
        about = f"the completion {excerpt(one.text)} of question {sample.id!r}"
        reward = call(function, sample, one, facts, about=about)
        rewards.append(number(function, reward, least=-1, about=about))
    return rewards
