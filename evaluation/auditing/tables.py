"""The tables of an audit as plain text, each under a line that says how to read it."""

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap

from configs.probing import ProbeConfig
from datamodules.prompts.templates import SUFFIXES
from evaluation.auditing.coverage import Coverage
from evaluation.auditing.rules import Agreement, RuleRow, Unjudged
from evaluation.auditing.shapley import Game
from evaluation.auditing.truth import Check
from evaluation.statistics.intervals import Interval


def coverage_table(facts: Mapping[str, Mapping[str, object]], rows: Sequence[Coverage]) -> str:
    """Show what every probe was asked, and how it answered."""
    head = ["  condition", "how", "asked", "of", "answers", "orders", "right %", "unparsed %"]
    cells = [
        [
            f"  {row.condition}",
            row.how,
            *map(str, (row.asked, row.wanted, row.answers, row.orders)),
            f"{100 * row.right:.1f}",
            f"{100 * row.unparsed:.1f}",
        ]
        for row in rows
    ]
    top = layout(head, cells, left=2)
    told = [
        "PROBES: what each was asked, of the questions that the condition takes something from.",
        "orders: of the options. An answer that cannot be read is unparsed, and counts as wrong.",
        "",
        *top[:2],
    ]
    for key, fact in facts.items():
        told.append(f"{key[:8]}  {_described(fact)}")
        told += [line for line, row in zip(top[2:], rows, strict=True) if row.key == key]
    return "\n".join(told)


def _described(facts: Mapping[str, object]) -> str:
    """Say which model a probe asked, and how; old ones may not have been described."""
    words = [str(facts.get("model", "not described"))]
    decoding, budget = facts.get("decoding"), facts.get("media_budget")
    if isinstance(decoding, Mapping):
        words.append(str(decoding.get("method")))
        heat = decoding.get("temperature")
        words += [] if heat is None else ["greedy" if heat == 0 else f"temperature {heat}"]
    _, _, said = str(facts.get("prompt_template", "")).partition(" ")
    words += [f"prompt {name}" for name, text in SUFFIXES.items() if said and text == said]
    if isinstance(budget, Mapping) and budget.get("silence_seconds") is not None:
        words.append(f"silence of {budget['silence_seconds']:g} s")
    return ", ".join(words)


def rules_table(rows: Sequence[RuleRow]) -> str:
    """Show what every rule makes of the questions."""
    head = ["rule", "kept", "strong", "undef.", "unst.", "weak", "undet.", "missing"]
    head += ["weak %", "guesser %"]
    told = [
        "RULES: what data.contribution.rule=NAME makes of the questions.",
        "kept: what keep=strong trains on, that is strong, undefined and unstable ones.",
        "weak %: of the questions that the rule judges; guesser %: how many of these it would call",
        "weak if they were guessed at blindly. What it drops beyond that, it drops for a reason.",
    ]
    cells = []
    for row in rows:
        bands = ("strong", "undefined", "unstable", "weak", "undetermined", "missing")
        numbers = map(str, (row.kept, *(row.bands[band] for band in bands)))
        guesser = "-" if math.isnan(row.guesser) else f"{100 * row.guesser:.1f}"
        cells.append([row.name, *numbers, percent(row.weak, digits=1), guesser])
    if cells:
        told += ["", *layout(head, cells), ""]
    for row in rows:
        voters = ", ".join(key[:8] for key in row.voters)
        told.append(f"{row.name} reads {row.condition}/{row.how} of {voters}")
    if any(row.bands["missing"] for row in rows):
        told += ["missing questions were asked too seldom; the shares are of the others."]
    return "\n".join(told)


def unjudged_list(lacking: Sequence[Unjudged], *, split: str) -> str:
    """Say which rules could not be judged, and which commands would change that."""
    told = [
        "NOT JUDGED: rules for which answers are lacking, and what to run with the same data=...",
        "and model=... to get them. MODEL_1, MODEL_2, ... are directories or hub ids of yours.",
    ]
    for one in lacking:
        told += ["", *wrap(f"{one.name}: {one.reason}", 98)]
        told += [line for text in one.commands for line in shell(text, split=split)]
    return "\n".join(told)


def shell(command: str, *, split: str) -> list[str]:
    """Break a command into lines that a shell reads as one; name the split where it is needed."""
    command += f" probe.split={split}" if split != ProbeConfig().split else ""
    lines = wrap(command, 88, break_long_words=False, break_on_hyphens=False)
    return ("    " + " \\\n      ".join(lines)).split("\n")


def agreement_table(agreement: Agreement) -> str:
    """Show how alike the rules' choices are."""
    names = agreement.names
    head = ["", *(str(number) for number in range(1, len(names) + 1))]
    cells = [
        [f"{number} {name}", *(f"{value:.2f}" for value in row)]
        for number, (name, row) in enumerate(zip(names, agreement.jaccard, strict=True), start=1)
    ]
    told = [
        "AGREEMENT: of the questions that either of two rules keeps, the share that both keep.",
        "",
        *layout(head, cells),
    ]
    if agreement.conditions > 1:
        told += [
            "",
            "These rules withhold different things, so even right ones differ: compare rules of "
            "one condition.",
        ]
    return "\n".join(told)


def truth_tables(checks: Mapping[str, Check]) -> str:
    """Show every rule against the truth: counts, then shares."""
    counts = [
        [
            name,
            *(str(number) for number in check.table["needs"].values()),
            *(str(number) for number in check.table["answerable"].values()),
        ]
        for name, check in checks.items()
    ]
    head = ["rule", "needs: strong", "weak", "undet.", "answerable: strong", "weak", "undet."]
    told = [
        "TRUTH: truth/SPLIT.jsonl says which questions need what a rule's condition withholds, and",
        "which are answerable without. Counted are the questions that the rule judges.",
        "",
        *layout(head, counts),
        "",
        "In percent, with intervals that allow for several questions about one asset. Prec.: of",
        "those called so, how many are so. Recall: of those that are so, how many are called so;",
        "undetermined ones are not, and a second line leaves them out. Balanced: the mean of both",
        "recalls, 50 for a coin.",
        "",
    ]
    head = ["rule", "decided", "strong: prec.", "recall"]
    head += ["weak: prec.", "recall", "balanced"]
    shares = []
    for name, check in checks.items():
        shares.append(
            [
                name,
                f"{100 * check.decided.mean:.0f}" if check.decided.n else "-",
                percent(check.strong_precision),
                percent(check.strong_recall),
                percent(check.weak_precision),
                percent(check.weak_recall),
                percent(check.balanced),
            ]
        )
        if check.decided.mean < 1:
            recalls = (check.strong_recall_decided, check.weak_recall_decided)
            strong, weak = map(percent, recalls)
            shares.append(
                ["  decided alone", "", "", strong, "", weak, percent(check.balanced_decided)]
            )
    return "\n".join([*told, *layout(head, shares)])


def contribution_table(
    game: Game | None,
    groups: Sequence[tuple[str, Mapping[str, Interval]]],
    *,
    split: str,
) -> str:
    """Show what each part adds, group by group."""
    told = ["CONTRIBUTION: what each part adds to the share of right answers, in accuracy points."]
    four = "python eval.py stage=probe 'probe.conditions=[full,no_audio,no_visual,text_only]'"
    if game is None:
        told.append("Unknown until one probe has been asked under four conditions:")
        return "\n".join([*told, *shell(four, split=split)])
    three = "text" in game.players
    told += [
        f"Shapley values of {game.key[:8]}, withheld parts {game.how}; they sum to what "
        + ("it does better than a guesser." if three else "media add to words alone."),
        "synergy: sound and pictures help only together (+), or either will do (-).",
        "",
    ]
    names = game.columns
    cells = [
        [group, str(shares[names[0]].n), *(percent(shares[name], digits=1) for name in names)]
        for group, shares in groups
    ]
    told += [*layout(["questions", "n", *names], cells), ""]
    if game.undefined:
        told.append(f"Left out, for their options are media: {game.undefined}")
    if game.lacking:
        told.append(f"Left out, for lack of answers: {game.lacking}; to ask for them:")
        told += shell(four, split=split)
    if not three:
        told.append("The share of the words takes three more conditions of the same probe:")
        more = "python eval.py stage=probe 'probe.conditions=[no_text,audio_only,visual_only]'"
        told += shell(more, split=split)
    return "\n".join(told).rstrip()


def percent(interval: Interval, *, digits: int = 0) -> str:
    """Write a share or a difference of shares with its interval; a dash where there is none."""
    if math.isnan(interval.mean):
        return "-"
    bounds = (interval.low, interval.high)
    written = ",".join(f"{100 * bound:.{digits}f}" for bound in bounds)
    return f"{100 * interval.mean:.{digits}f} [{'-' if math.isnan(interval.low) else written}]"


def layout(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Align columns, the first `left` of them to the left; a rule stands below the head."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]]
