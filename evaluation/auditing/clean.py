"""Clean: write views of the benchmark questions that need what a probe withheld; no model is run.

Every rule keeps the questions that it does not call weak. OmniClean (2605.12034) keeps those that
no answer solved, and a whole source where its probe is undefined or too few questions would be
left; `calibrated` also keeps undetermined ones, and marks them. Each question has a reason.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from configs.inputs import ContributionConfig, RuleName
from configs.schema import Config
from datamodules.contamination.clean_view import CleanView, JudgedQuestion, view_path, view_text
from datamodules.contribution.decide import Counts, apply_rule, question_features
from datamodules.contribution.presets import queries, rule_of
from datamodules.contribution.probe_cache import find_probe, probes
from datamodules.contribution.probe_scores import Scores
from datamodules.contribution.selection import probe_directory
from datamodules.sample import Sample
from evaluation.auditing.rules import (
    RuleResult,
    RuleRow,
    UnansweredRule,
    no_answers,
    rule_results,
    rule_row,
    too_few_answers,
)
from evaluation.auditing.stage import load_scores, questions_of
from evaluation.auditing.tables import shell
from evaluation.statistics.intervals import without_nan
from evaluation.statistics.tables import layout, percent, percent_alone
from runtime.runs import open_run
from runtime.writing import write_text


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """The view of one set by one rule, and its numbers."""

    view: CleanView
    row: RuleRow

    @property
    def before(self) -> int:
        """Questions of the set."""
        return len(self.view.rows)

    @property
    def after(self) -> int:
        """Questions that the view keeps."""
        return sum(row.kept for row in self.view.rows)


def clean(config: Config) -> str:
    """Write a view for each set and rule, all or none; return the text to print."""
    settings, cache = config.clean, probe_directory(config.data)
    directory = Path(config.data.root) / settings.views  # an absolute one replaces the root
    configs = [_config_of(config, rule) for rule in settings.rules]
    paths = [view_path(directory, *each) for each in product(settings.sets, settings.rules)]
    facts = probes(cache)
    with open_run(config) as run:
        cleaned: list[Cleaned] = []
        lacking: list[tuple[str, UnansweredRule]] = []
        for name in settings.sets:
            samples = questions_of(config.data, name, run_dir=run.dir)
            scores = load_scores(cache, facts, samples)
            for rule_config in configs:
                result = _result(rule_config, cache, samples, scores)
                if isinstance(result, UnansweredRule):
                    lacking.append((name, _shorter_command(rule_config, result)))
                    continue
                view = _view(name, samples, result, _models(cache, result, facts))
                assets = [sample.asset_id for sample in samples]
                row = rule_row(result, assets, confidence=config.audit.confidence)
                cleaned.append(Cleaned(view=view, row=row))
        if lacking:
            raise ValueError(_unanswered(lacking, views=len(paths)))
        for each, path in zip(cleaned, paths, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, view_text(each.view))
        write_text(run.dir / "results.json", json.dumps(_numbers(cleaned), indent=2))
        run.finish()
    lines = [*_table(cleaned), "", *_notes(cleaned)]
    lines.append(f"{len(cleaned)} views in {directory}, results.json in {run.dir}")
    return "\n".join(lines)


def _config_of(config: Config, rule: RuleName) -> ContributionConfig:
    """Apply the numbers of data.contribution to the rule that it names, or else to each."""
    wanted, rules = config.data.contribution, config.clean.rules
    if wanted.rule not in ("none", *rules):
        raise ValueError(
            f"data.contribution.rule is {wanted.rule}, but clean.rules is {rules}, and nothing "
            "that is set goes unread: name it there too, or leave it out."
        )
    own = wanted if wanted.rule in ("none", rule) else ContributionConfig()
    return replace(own, rule=rule, weighted=False)


def _result(
    wanted: ContributionConfig, cache: Path, samples: Sequence[Sample], scores: Mapping[str, Scores]
) -> RuleResult | UnansweredRule:
    """Apply one rule, or say what it lacks; a rule that keeps everything needs no probe."""
    rule = rule_of(wanted)
    items = question_features(samples, rule.condition, rule.how)
    zero = np.zeros(len(samples), dtype=np.int64)
    nothing = [Counts(n=zero, n_correct=zero) for _ in queries(rule)]
    bands = apply_rule(rule, nothing, items)
    if not (bands == "missing").any():
        return RuleResult(
            name=rule.name, rule=rule, voters=(), items=items, counts=nothing, bands=bands
        )
    results = rule_results(wanted, cache, samples, scores)
    if not results:
        return no_answers(rule)
    fewest = min(result.missing for result in results)
    best = [result for result in results if result.missing == fewest]
    if fewest:
        return too_few_answers(best[0])
    if len(best) > 1:
        keys = ", ".join(result.voters[0][:8] for result in best)
        reason = (
            f"{len(best)} probes could vote ({keys}); name one with data.contribution.rule="
            f"{rule.name} 'data.contribution.probes=[{best[0].voters[0][:8]}]'"
        )
        return UnansweredRule(name=rule.name, reason=reason, commands=[])
    return best[0]


def _shorter_command(wanted: ContributionConfig, lacks: UnansweredRule) -> UnansweredRule:
    """Suggest to stop early, where a rule has one voter and its own numbers."""
    rule = rule_of(wanted)
    voters = {query.voter for query in queries(rule)}
    its_own = rule == rule_of(ContributionConfig(rule=wanted.rule))
    if not its_own or len(voters) > 1 or not lacks.commands:
        return lacks
    command = f"python eval.py stage=probe probe.stop_when_decided_by={rule.name}"
    return replace(lacks, commands=[command])


def _models(
    cache: Path, result: RuleResult, facts: Mapping[str, Mapping[str, object]]
) -> list[dict[str, str]]:
    """List the probes that voted, in order."""
    keys = [find_probe(cache, name) for voter in result.voters for name in voter.split("+")]
    return [{"key": key, "model": str(facts[key].get("model", "unknown"))} for key in keys]


def _view(
    name: str, samples: Sequence[Sample], result: RuleResult, voters: Sequence[Mapping[str, str]]
) -> CleanView:
    """Make the view with a row for every question."""
    rule = result.rule
    apart = ("name", "condition", "how")
    numbers = {name: value for name, value in asdict(rule).items() if name not in apart}
    judged = zip(samples, result.bands.tolist(), _reasons(result), strict=True)
    rows = [
        JudgedQuestion(
            id=sample.id,
            content_hash=sample.content_hash,
            band=band,
            kept=band != "weak",
            reason=reason,
        )
        for sample, band, reason in judged
    ]
    return CleanView(
        set=name,
        rule=rule.name,
        numbers=numbers,
        condition=rule.condition,
        how=rule.how,
        probes=voters,
        rows=rows,
    )


def _reasons(result: RuleResult) -> Iterator[str]:
    """Say for every question why it is retained, or how often it was answered."""
    rule = result.rule
    counts = [
        count
        for query, count in zip(queries(rule), result.counts, strict=True)
        if (query.condition, query.how) == (rule.condition, rule.how)
    ]
    right = np.sum([count.n_correct for count in counts], axis=0).tolist()
    answers = np.sum([count.n for count in counts], axis=0).tolist()
    undefined = result.items.undefined.tolist()
    for place, band in enumerate(result.bands.tolist()):
        match band:
            case "undefined":
                yield undefined[place]
            case "unstable":
                yield f"its source has fewer than {rule.min_questions} questions"
            case _:
                yield f"{right[place]} of {answers[place]} answers are right"


def _unanswered(lacking: Sequence[tuple[str, UnansweredRule]], *, views: int) -> str:
    """Say which views lack answers, and which commands get them."""
    lines = [
        f"{len(lacking)} of {views} views lack answers, and what was not asked is never guessed. "
        "Ask with these commands and the same data=... and model=..., or leave a rule out of "
        "clean.rules:"
    ]
    for name, rule in lacking:
        lines += [f"  {name} by {rule.name}: {rule.reason}"]
        lines += [line for command in rule.commands for line in shell(command, split=name)]
    return "\n".join(lines)


def _numbers(cleaned: Sequence[Cleaned]) -> object:
    """Collect the numbers of each view for results.json."""
    views = [
        {
            "set": each.view.set,
            "rule": each.view.rule,
            "questions": each.before,
            "kept": each.after,
            "bands": each.row.bands,
            "weak": asdict(each.row.weak),
            "guesser": each.row.guesser,
            "probes": each.view.probes,
        }
        for each in cleaned
    ]
    return without_nan({"views": views})


def _table(cleaned: Sequence[Cleaned]) -> list[str]:
    """Write the number of questions before and after, by set and in all."""
    head = ["set", "rule", "before", "after", "kept %", "undefined", "unstable", "undet."]
    head += ["weak %", "guesser %"]
    cells = []
    for each in cleaned:
        bands = [each.row.bands[band] for band in ("undefined", "unstable", "undetermined")]
        cells.append(
            [
                *(each.view.set, each.view.rule, str(each.before), str(each.after)),
                f"{100 * each.after / each.before:.1f}",
                *map(str, bands),
                percent(each.row.weak, comma=","),
                percent_alone(each.row.guesser),
            ]
        )
    by_rule = _by_rule(cleaned)
    for rule, views in by_rule.items() if len(cleaned) > len(by_rule) else ():
        before, after = sum(each.before for each in views), sum(each.after for each in views)
        share = f"{100 * after / before:.1f}"
        cells.append(["all sets", rule, str(before), str(after), share, *[""] * 5])
    return [
        "CLEAN: the questions of each set, and those that a clean score rests on: all but the weak",
        "ones. undet.: neither shown to be weak nor to need what is withheld. weak %: of those the",
        "rule judges, which are all but undefined and unstable ones; guesser %: how many of these",
        "it would remove if they were guessed at blindly.",
        "",
        *layout(head, cells, left=2),
    ]


def _by_rule(cleaned: Sequence[Cleaned]) -> dict[str, list[Cleaned]]:
    rules = dict.fromkeys(each.view.rule for each in cleaned)
    return {rule: [each for each in cleaned if each.view.rule == rule] for rule in rules}


def _notes(cleaned: Sequence[Cleaned]) -> Iterator[str]:
    """Say which probes voted, and which set dominates an average over questions."""
    for each in cleaned:
        voters = ", ".join(f"{probe['key'][:8]} ({probe['model']})" for probe in each.view.probes)
        asked = f"{each.view.condition}/{each.view.how} of {voters or 'no probe: it keeps all'}"
        yield f"{each.view.set} by {each.view.rule} reads {asked}"
    for rule, views in _by_rule(cleaned).items():
        kept = sum(each.after for each in views)
        if len(views) > 1 and kept:
            largest = max(views, key=lambda each: each.after)
            yield (
                f"{100 * largest.after / kept:.0f} % of what {rule} keeps is of "
                f"{largest.view.set}, which an average over questions is about as much: read the "
                "macro average, in which all sets count alike, first"
            )
