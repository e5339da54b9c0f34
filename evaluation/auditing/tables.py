"""The tables of an audit as plain text, each with a line that explains it."""

from collections.abc import Mapping, Sequence
from functools import partial
from textwrap import wrap

from configs.probing import ProbeConfig
from datamodules.prompts.templates import SUFFIXES
from evaluation.auditing.coverage import Coverage
from evaluation.auditing.rules import Agreement, RuleRow, UnansweredRule
from evaluation.auditing.shapley import ShapleyResult
from evaluation.auditing.truth import Check
from evaluation.statistics.intervals import Interval
from evaluation.statistics.tables import layout, percent, percent_alone

SAME = ", with the same data=... and model=..."
"""What commands that are printed leave out."""


def coverage_table(facts: Mapping[str, Mapping[str, object]], rows: Sequence[Coverage]) -> str:
    """Write what every probe was asked, and its accuracy."""
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
    lines = [
        "PROBES: what each was asked, of the questions that the condition takes something from.",
        "orders: of the options. An answer that cannot be read is unparsed, and counts as wrong.",
        "",
        *top[:2],
    ]
    for key, fact in facts.items():
        lines.append(f"{key[:8]}  {_described(fact)}")
        lines += [line for line, row in zip(top[2:], rows, strict=True) if row.key == key]
    return "\n".join(lines)


def _described(facts: Mapping[str, object]) -> str:
    """Describe the model and the decoding of a probe; old probes may have no description."""
    words = [str(facts.get("model", "not described"))]
    decoding, budget = facts.get("decoding"), facts.get("media_budget")
    if isinstance(decoding, Mapping):
        words.append(str(decoding.get("method")))
        heat = decoding.get("temperature")
        words += [] if heat is None else ["greedy" if heat == 0 else f"temperature {heat}"]
    _, _, suffix = str(facts.get("prompt_template", "")).partition(" ")
    words += [f"prompt {name}" for name, text in SUFFIXES.items() if suffix and text == suffix]
    if isinstance(budget, Mapping) and budget.get("silence_seconds") is not None:
        words.append(f"silence of {budget['silence_seconds']:g} s")
    return ", ".join(words)


def rules_table(rows: Sequence[RuleRow]) -> str:
    """Write the bands of every rule."""
    head = ["rule", "kept", "strong", "undef.", "unst.", "weak", "undet.", "missing"]
    head += ["weak %", "guesser %"]
    lines = [
        "RULES: what data.contribution.rule=NAME makes of the questions.",
        "kept: what keep=strong trains on, that is strong, undefined and unstable ones.",
        "weak %: of the questions that the rule judges; guesser %: how many of these it would call",
        "weak if they were guessed at blindly. What it drops beyond that, it drops for a reason.",
    ]
    cells = []
    for row in rows:
        bands = ("strong", "undefined", "unstable", "weak", "undetermined", "missing")
        numbers = map(str, (row.kept, *(row.bands[band] for band in bands)))
        guesser = percent_alone(row.guesser)
        cells.append([row.name, *numbers, percent(row.weak, comma=","), guesser])
    if cells:
        lines += ["", *layout(head, cells), ""]
    for row in rows:
        voters = ", ".join(key[:8] for key in row.voters)
        lines.append(f"{row.name} reads {row.condition}/{row.how} of {voters}")
    if any(row.bands["missing"] for row in rows):
        lines += ["missing questions were asked too seldom; the shares are of the others."]
    return "\n".join(lines)


def unanswered_list(lacking: Sequence[UnansweredRule], *, split: str, asked: str) -> str:
    """Write which rules lack answers, and which commands get those of one.

    Args:
        asked: the rule whose commands are wanted, `data.contribution.rule`.
    """
    names = dict.fromkeys(rule.name for rule in lacking)
    lines = wrap(f"NOT JUDGED, or by some probes only: {', '.join(names)}.", 98)
    wanted = [rule for rule in lacking if rule.name == asked]
    how = "data.contribution.rule=NAME prints what one of them lacks, and what to run for it."
    if wanted:
        how = (
            "What to run with the same data=... and model=... to get answers; MODEL_1, MODEL_2, ..."
        )
        how += " are directories or hub ids of yours."
    lines += wrap(how, 98)
    for rule in wanted:
        lines += ["", *wrap(f"{rule.name}: {rule.reason}", 98)]
        lines += [line for text in rule.commands for line in shell(text, split=split)]
    return "\n".join(lines)


def shell(command: str, *, split: str) -> list[str]:
    """Break a command into continued lines of a shell; name the split where it is needed."""
    command += f" probe.split={split}" if split != ProbeConfig().split else ""
    lines = wrap(command, 88, break_long_words=False, break_on_hyphens=False)
    return ("    " + " \\\n      ".join(lines)).split("\n")


def agreement_table(agreement: Agreement) -> str:
    """Write the agreement of rules."""
    names = agreement.names
    head = ["", *(str(number) for number in range(1, len(names) + 1))]
    cells = [
        [f"{number} {name}", *(f"{value:.2f}" for value in row)]
        for number, (name, row) in enumerate(zip(names, agreement.jaccard, strict=True), start=1)
    ]
    lines = [
        "AGREEMENT: of the questions that either of two rules keeps, the share that both keep.",
        "",
        *layout(head, cells),
    ]
    if agreement.conditions > 1:
        lines += [
            "",
            "These rules withhold different things, so even right ones differ: compare rules of "
            "one condition.",
        ]
    return "\n".join(lines)


def truth_tables(checks: Mapping[str, Check]) -> str:
    """Write every rule against the truth: counts, then shares."""
    counts = [
        [name, *(str(number) for row in check.table.values() for number in row.values())]
        for name, check in checks.items()
    ]
    head = ["rule", "needs: strong", "weak", "undet.", "answerable: strong", "weak", "undet."]
    lines = [
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
    head = ["rule", "decided", "strong: prec.", "recall", "weak: prec.", "recall", "balanced"]
    shares, share = [], partial(percent, digits=0, comma=",")
    for name, check in checks.items():
        shares.append(
            [
                name,
                f"{100 * check.decided.mean:.0f}" if check.decided.n else "-",
                share(check.strong_precision),
                share(check.strong_recall),
                share(check.weak_precision),
                share(check.weak_recall),
                share(check.balanced),
            ]
        )
        if check.decided.mean < 1:
            strong, weak = share(check.strong_recall_decided), share(check.weak_recall_decided)
            balanced = share(check.balanced_decided)
            shares.append(["  decided alone", "", "", strong, "", weak, balanced])
    return "\n".join([*lines, *layout(head, shares)])


def contribution_table(
    result: ShapleyResult | None,
    groups: Sequence[tuple[str, Mapping[str, Interval]]],
    *,
    split: str,
) -> str:
    """Write the contribution of each part, by group."""
    lines = ["CONTRIBUTION: what each part adds to the share of right answers, in accuracy points."]
    four = "python eval.py stage=probe 'probe.conditions=[full,no_audio,no_visual,text_only]'"
    if result is None:
        lines.append(f"Unknown until one probe has been asked under four conditions{SAME}:")
        return "\n".join([*lines, *shell(four, split=split)])
    three = "text" in result.players
    lines += [
        f"Shapley values of {result.key[:8]}, withheld parts {result.how}; they sum to what "
        + ("it does better than a guesser." if three else "media add to words alone."),
        "synergy: sound and pictures help only together (+), or either will do (-).",
        "",
    ]
    names = result.columns
    cells = [
        [group, str(shares[names[0]].n), *(percent(shares[name], comma=",") for name in names)]
        for group, shares in groups
    ]
    lines += [*layout(["questions", "n", *names], cells), ""]
    if result.undefined:
        lines.append(f"Left out, for their options are media: {result.undefined}")
    if result.lacking:
        left = f"Left out, for lack of answers: {result.lacking}; to ask for them{SAME}:"
        lines += wrap(left, 98)
        lines += shell(four, split=split)
    if not three:
        share = f"The share of the words takes three more conditions of the same probe{SAME}:"
        lines += wrap(share, 98)
        more = "python eval.py stage=probe 'probe.conditions=[no_text,audio_only,visual_only]'"
        lines += shell(more, split=split)
    return "\n".join(lines).rstrip()
