"""What it costs to judge completions that mean harm: `python -m bench.verifiers [completions]`.

Each answer type gets its share of completions made up from a seed: up to 128 kB long, with tags and
braces repeated, nested and left open, powers and factorials nobody can write out, odd Unicode, and
answers with a few characters changed. Every one is judged by itself, as the slowest is what counts.
"""

import argparse
import random
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF

from datamodules.sample import Sample
from modules.verifiers.math_answers import close
from modules.verifiers.verify import Verdict, verify

LONGEST = 131_072
PLAIN = Sample(
    id="", question="?", answer="", answer_type="text", source="", asset_id="", content_hash=""
)
SAMPLES = [
    replace(PLAIN, answer_type="choice", options=("a cat", "a dog", "an owl"), answer="B"),
    replace(PLAIN, answer_type="number", answer="7"),
    replace(PLAIN, answer_type="set", answer="red, blue"),
    replace(PLAIN, answer_type="yes_no", answer="yes"),
    replace(PLAIN, answer_type="text", answer="a red dog on the roof"),
    replace(PLAIN, answer_type="math", answer=r"\frac{\sqrt{3}}{2}"),
    replace(PLAIN, answer_type="ocr", answer="NO ENTRY 24"),
    replace(PLAIN, answer_type="regression", answer="12.5", tolerance=0.5),
]
TOKENS = [
    *("<answer>", "</answer>", "<think>", "</think>", "<answer", "answer>", "</", "<", ">"),
    *(r"\boxed{", "{", "}", "(", ")", "[", "]", "$", "$$", r"\(", r"\)", r"\[", r"\]", "\\", r"\\"),
    *(r"\frac", r"\frac{1}{", r"\sqrt{", r"\sum_{i=1}^{9}", r"\int_0^1", r"\left(", r"\text{", "|"),
    *(
        "^",
        "^{",
        "**",
        "_",
        "!",
        "9",
        "99999",
        "1e9",
        "-",
        "--",
        "+",
        "*",
        "/",
        "%",
        "=",
        "<=",
        ",",
    ),
    *("B", "b.", "yes", "no", "red", "blue", "a dog", "x", "xy", "option", "24", " ", "\n", "\t"),
    *("\x00", "\ufeff", "\u200b", "\u202e", "\ud83d", "é", "e\u0301", "（", "）", "𝟚", "½", "²"),
    *("٣", "−", "中", "🙂", "👩‍👩‍👧", "\u0345" * 9, "İ", "ß", "ﷺ", "\r", "\x1b[31m", "&amp;", "#"),
]
GIANTS = [
    *("9^{9^{9}}", "9^9^9^9", "9**9**9", "(9^{9999})^{9999}", "9999999!", "((99!)!)!", "1e999999"),
    *("2^{" * 40 + "2" + "}" * 40, "9" * 5000, "1/" * 99 + "1"),
    *("0." + "0" * 99 + "1", "-" * 99 + "1"),
    *(r"\frac{1}{" * 30 + "x" + "}" * 30, "(" * 200 + "1" + ")" * 200, "x^" * 90 + "x", "x_" * 90),
    *(r"\sum_{i=1}^{99999} \sin i", r"\int_0^1 e^{\sin x^3} dx", "(x+y+z)^{90}-1", "sin(" * 40),
    *(r"\begin{matrix}" * 15, r"\sqrt" * 50, r"x^{9999}-(x-1)^{9999}", "1=" * 90 + "1", "||" * 90),
]


def nothing(dice: random.Random, sample: Sample) -> str:
    """Answer nothing, in some words or other."""
    empty = dice.choice(["", " ", "\n\t", "\u200b", "{}", "$$", "**", r"\text{}", "<answer>"])
    return dice.choice(["{}", "<answer>{}</answer>", r"\boxed{{{}}}", "ok </answer>{}"]).format(
        empty
    )


def runaway(dice: random.Random, sample: Sample) -> str:
    """Say the same few tokens until the end."""
    pattern = "".join(dice.choices([*TOKENS, sample.answer], k=dice.randint(1, 4)))
    completion = pattern * (dice.choice([2_000, 30_000, LONGEST]) // len(pattern))
    return completion + dice.choice(["", f"<answer>{sample.answer}</answer>", "</answer>"])


def salad(dice: random.Random, sample: Sample) -> str:
    """Put tokens in any order, often within tags."""
    words = dice.choices([*TOKENS, sample.answer], k=dice.choice([1, 3, 10, 40, 3000]))
    return wrap(dice, dice.choice(["", " "]).join(words))


def giant(dice: random.Random, sample: Sample) -> str:
    """Write something small that means something huge."""
    return wrap(dice, dice.choice(["", f"{sample.answer}+", "-", "x="]) + dice.choice(GIANTS))


def mutant(dice: random.Random, sample: Sample) -> str:
    """Change a few characters of the right answer."""
    letters = list(wrap(dice, sample.answer))
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(letters) + 1)
        letters[place : place + dice.randint(0, 2)] = dice.choice([*TOKENS, ""])
    return "".join(letters)


def wrap(dice: random.Random, text: str) -> str:
    """Put a text where answers stand, more or less."""
    depth = dice.choice([1, 1, 1, 1, 2, 300])
    return dice.choice(
        ["<answer>" * depth + text + "</answer>" * depth, f"\\boxed{{{text}}}", text]
    )


@dataclass(kw_only=True)
class Judged:
    """What became of the completions of one answer type."""

    verdicts: list[Verdict] = field(default_factory=list)
    raised: list[Exception] = field(default_factory=list)
    times: list[tuple[float, str]] = field(default_factory=list)
    """Milliseconds, and of which completion."""


KINDS: list[Callable[[random.Random, Sample], str]] = [nothing, runaway, salad, giant, mutant]


def completions(sample: Sample, count: int, seed: int) -> list[str]:
    """Make up so many completions, the same ones for the same seed."""
    dice = random.Random(seed)
    return [KINDS[at % len(KINDS)](dice, sample)[-LONGEST:] for at in range(count)]


def judge(sample: Sample, count: int) -> Judged:
    """Judge so many completions of one answer type."""
    verify(f"<answer>{sample.answer}+0</answer>", sample=sample)  # starts what is started once
    found = Judged()
    for completion in completions(sample, count, seed=0):
        start = time.perf_counter()
        try:
            found.verdicts.append(verify(completion, sample=sample))
        except Exception as error:  # whatever it is, it is what this counts
            found.raised.append(error)
        found.times.append((1000 * (time.perf_counter() - start), completion))
    return found


def judge_all(count: int) -> tuple[list[float], int, float]:
    """Judge so many in all; return milliseconds, how many raised, and the peak of memory in MB."""
    found = [judge(sample, count // len(SAMPLES)) for sample in SAMPLES]
    close()
    # The system counts as the peak of a process also that of the one that has started it.
    status = Path("/proc/self/status").read_text().split()
    here, workers = int(status[status.index("VmHWM:") + 1]), resource.getrusage(RUSAGE_CHILDREN)
    times = [ms for each in found for ms, _ in each.times]
    return times, sum(len(each.raised) for each in found), max(here, workers.ru_maxrss) / 1024


def main() -> None:
    """Print a row for each answer type."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("completions", type=int, nargs="?", default=10_000)
    parser.add_argument("--slowest", type=int, default=0, help="show so many of each type")
    arguments = parser.parse_args()
    print(
        f"{'ms':11}{'count':>7}{'p50':>9}{'p99':>9}{'max':>10}{'right':>7}{'parsed':>8}{'raised':>8}"
    )
    every: list[float] = []
    for sample in SAMPLES:
        found = judge(sample, arguments.completions // len(SAMPLES))
        times = [ms for ms, _ in found.times]
        every += times
        row(sample.answer_type, times, found.verdicts, found.raised)
        for ms, completion in sorted(found.times, reverse=True)[: arguments.slowest]:
            print(f"    {ms:.1f} ms: {completion[:100]!r}")
    row("all", every, [], [])
    close()
    for who, whose in (("here", RUSAGE_SELF), ("a worker", RUSAGE_CHILDREN)):
        print(f"peak memory {who}: {resource.getrusage(whose).ru_maxrss / 1024:.0f} MiB")


def row(name: str, times: list[float], verdicts: list[Verdict], raised: list[Exception]) -> None:
    """Print one line, and the first error."""
    p99 = statistics.quantiles(times, n=100)[98]
    right, parsed = (sum(getattr(one, word) for one in verdicts) for word in ("correct", "parsed"))
    print(
        f"{name:11}{len(times):7}{statistics.median(times):9.2f}{p99:9.2f}{max(times):10.2f}"
        f"{right:7}{parsed:8}{len(raised):8}"
    )
    if raised:
        print(f"    first: {raised[0]!r}")


if __name__ == "__main__":
    main()
