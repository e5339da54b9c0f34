"""Signs of a run that learns nothing, as functions of the rows of metrics that it has logged.

Each looks at the last `WINDOW` rows, and returns a sentence with the settings to look at, or None
where it does not show or its metrics are not there. Its name is that of its function. What is no
sign in itself, such as a reward of 0 in a few early rows, is one where a whole window has it.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

Row = Mapping[str, float]
Sign = Callable[[Sequence[Row]], str | None]

WINDOW = 10
"""Rows that a sign is seen in; a row has some hundred completions or more."""

ALIKE = 0.95
"""Mean share of prompts from which on hardly any has completions to compare."""

CUT = 0.05
"""Mean share of completions that ended by themselves up to which nearly all are cut."""

CERTAIN = 0.01
"""Nats a token below which samples hardly differ: of 16 tokens, one in six completions does."""

ONE_LETTER = 0.99
"""Mean share of the most frequent letter from which on the question has no part in the answer."""


def constant_reward(rows: Sequence[Row]) -> str | None:
    """Find that each row has earned the very same."""
    rewards = _last("train/reward", rows)
    if not rewards or len({*rewards}) > 1:
        return None
    return (
        f"the mean reward has been {rewards[0]:g} all the time{_zeros(rows)}, and only differences "
        "teach: read rollouts.jsonl, and look at rlvr.max_completion_tokens, at the weights in "
        "rlvr.reward or at prealign.reader, and at whether the model can do the task at all; if "
        "not, imitate first"
    )


def no_spread(rows: Sequence[Row]) -> str | None:
    """Find that the completions of nearly every prompt earn the same."""
    shares = _last("train/frac_reward_zero_std", rows)
    if not shares or fmean(shares) < ALIKE:
        return None
    return (
        f"of {fmean(shares):.0%} of the prompts all completions earn the same, and only "
        "differences teach: ask questions that are sometimes answered (data.contribution, "
        "rlvr.dynamic_sampling.max_batches), or raise rlvr.temperature or rlvr.group_size"
    )


def all_truncated(rows: Sequence[Row]) -> str | None:
    """Find that nearly all completions were cut at their limit."""
    shares = _last("train/eos_rate", rows)
    if not shares or fmean(shares) > CUT:
        return None
    return (
        f"{1 - fmean(shares):.0%} of the completions are cut at their limit, most before an "
        "answer: raise rlvr.max_completion_tokens (distill.max_completion_tokens), or imitate "
        "short answers first"
    )


def no_entropy(rows: Sequence[Row]) -> str | None:
    """Find that the policy samples nearly the same every time."""
    entropies = _last("train/entropy", rows)
    if not entropies or max(entropies) >= CERTAIN:
        return None
    return (
        f"the entropy is {fmean(entropies):.2g} nats a token, so that nothing else is tried: "
        "lower optim.lr, raise rlvr.temperature or rlvr.objective.clip_high, or hold the policy "
        "back with rlvr.kl.coef"
    )


def no_gradient(rows: Sequence[Row]) -> str | None:
    """Find that no weight has a gradient."""
    norms = _last("train/grad_norm", rows)
    if not norms or max(norms) > 0:
        return None
    return (
        "all gradients are 0, so that no weight moves: look at the reward and at "
        "model.freeze_towers, and of distillation at whether student and teacher differ in what "
        "they are shown"
    )


def loss_not_falling(rows: Sequence[Row]) -> str | None:
    """Find, of what imitates, that the loss is where it was when the run began."""
    losses = [row["train/loss"] for row in rows if "train/reward" not in row]
    if len(losses) < 3 * WINDOW:  # what the first steps win is seen by then
        return None
    first, last = fmean(losses[:WINDOW]), fmean(losses[-WINDOW:])
    if last < first:
        return None
    return (
        f"the loss was {first:.4g} in the first rows and is {last:.4g} now: look at optim.lr and "
        "optim.warmup_steps, at whether the weights are trained (model.freeze_towers, "
        "model.lora.rank), and at whether the completions say anything that is not known yet"
    )


def same_letter(rows: Sequence[Row]) -> str | None:
    """Find that nearly every choice is answered by the same letter."""
    shares = _last("train/top_letter", rows)
    if not shares or fmean(shares) < ONE_LETTER:
        return None
    return (
        f"{fmean(shares):.0%} of the answers to choices name the same letter, whatever is asked: "
        "look at the order of the options in the data (model.answer_with=text shows no letters), "
        "and lower optim.lr"
    )


SIGNS: tuple[Sign, ...] = (
    *(all_truncated, constant_reward, same_letter, no_entropy, no_spread, no_gradient),
    loss_not_falling,
)
"""Causes before what follows from them."""


def signs_in(rows: Sequence[Row]) -> dict[str, str]:
    """Return the sentence of each sign that shows, by its name."""
    found = {sign.__name__: sign(rows) for sign in SIGNS}
    return {name: sentence for name, sentence in found.items() if sentence is not None}


def _zeros(rows: Sequence[Row]) -> str:
    """Name the parts of the reward that have been 0 all the time."""
    parts = [name for name in rows[-1] if name.startswith("train/reward_")]
    zero = [name for name in parts if (values := _last(name, rows)) and not any(values)]
    return f" ({', '.join(zero)} 0 as well)" if zero else ""


def needed(rows: Sequence[Row]) -> list[Row]:
    """Drop the rows that no sign looks at any more, nor will."""
    return [*rows[:WINDOW], *rows[WINDOW:][-2 * WINDOW :]]


def _last(name: str, rows: Sequence[Row]) -> list[float]:
    """List a metric in the last rows; nothing where there are too few that have it."""
    values = [row[name] for row in rows[-WINDOW:] if name in row]
    return values if len(values) == WINDOW else []
