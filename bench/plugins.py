"""What a reward of one's own costs: `python -m bench.plugins [completions]`.

Groups of eight completions are rewarded, with the built-in reward alone and with a function beside
it that returns a constant, in turns. A figure is the processor time of a group divided by eight.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from configs.load import load_config
from datamodules.sample import Sample
from modules.rewards.completion import Completion
from modules.rewards.verifier_reward import Group, VerifierReward

GROUP = 8
CONSTANT = "def constant(question, completion, facts):\n    return 0.5\n"
ASK = Sample(
    id="q1",
    question="Which animal barks?",
    options=("a cat", "a dog", "an owl"),
    answer="B",
    answer_type="choice",
    facts={"task": "animals"},
    source="bench",
    asset_id="a",
    content_hash="0" * 32,
)


def reward_of(*words: str) -> VerifierReward:
    """Make the reward function of a command."""
    return VerifierReward(load_config(["stage=rlvr", *words], ("rlvr",)).rlvr)


def group(number: int) -> Group:
    """Make up a group, each completion with a text of its own."""
    texts = (f"Nr. {number}: it barks. <answer>{'ABC'[at % 3]}</answer>" for at in range(GROUP))
    return Group(
        sample=ASK,
        completions=[Completion(text=text, tokens=12, finished=True) for text in texts],
    )


def microseconds(reward: Callable[..., object], groups: list[Group]) -> float:
    """Measure the processor time of one completion of some groups, each a call."""
    began = time.thread_time()
    for one in groups:
        reward([one], step=0)
    return (time.thread_time() - began) / (len(groups) * GROUP) * 1e6


def main() -> None:
    """Print the median and the 99th percentile of both, and of their difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("completions", type=int, nargs="?", default=40_000)
    count = parser.parse_args().completions // GROUP
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mine.py"
        file.write_text(CONSTANT)
        sides = (reward_of(), reward_of(f"rlvr.reward.plugins=[{file}:constant]"))
        times: list[tuple[float, ...]] = [
            tuple(microseconds(side, [group(number)]) for side in sides) for number in range(count)
        ][count // 10 :]  # the first load the file, and warm up
    alone, with_it = zip(*times, strict=True)
    added = [one - other for other, one in times]
    print("processor time in microseconds      p50     p99")
    for name, values in (("built-in", alone), ("and a constant", with_it), ("added", added)):
        cuts = statistics.quantiles(values, n=100)
        print(f"{name:<28}{cuts[49]:9.1f}{cuts[98]:8.1f}")


if __name__ == "__main__":
    main()
