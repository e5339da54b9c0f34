"""Clean: say which questions of benchmarks need what a probe withheld; no model is run.

Every rule keeps what it does not call weak. OmniClean (2605.12034) keeps what no answer solved, and
in full where its probe is undefined or too few questions would be left; of `calibrated`, what the
answers leave undetermined is kept too, and marked. Beside each question stands why.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
    Judged,
    RuleRow,
    Unjudged,
    asked_too_seldom,
    judge,
    not_asked,
    rule_row,
)
from evaluation.auditing.stage import finite, questions_of
from evaluation.auditing.tables import layout, percent, shell
from runtime.runs import open_run
from runtime.writing import write_text


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """What one rule makes of one set, question by question and in numbers."""

    view: CleanView
    row: RuleRow

    @property
    def before(self) -> int:
        """Questions of the set."""
        return len(self.view.rows)

    @property
    def after(self) -> int:
        """Those of them that the view keeps."""
        return sum(row.kept for row in self.view.rows)


def clean(config: Config) -> str:
    """Leave a view for each set and rule, all of them or none; return what is printed."""
    settings, cache = config.clean, probe_directory(config.data)
    directory = Path(config.data.root) / settings.views  # an absolute one replaces the root
    wanted = [_wanted(config, rule) for rule in settings.rules]
    paths = {
        (name, rule): view_path(directory, name, rule)
        for name in settings.sets
        for rule in settings.rules
    }
    facts = probes(cache)
    with open_run(config) as run:
        cleaned: list[Cleaned] = []
        lacking: list[tuple[str, Unjudged]] = []
        for name in settings.sets:
            samples = questions_of(config.data, name, run_dir=run.dir)
            hashes = [sample.content_hash for sample in samples]
            scores = {key: Scores.load(cache, key, hashes) for key in facts}
            for mine in wanted:
                found = _judged(mine, cache, samples, scores)
                if isinstance(found, Unjudged):
                    lacking.append((name, _asking_least(mine, found)))
                    continue
                view = _view(name, samples, found, _models(cache, found, facts))
                assets = [sample.asset_id for sample in samples]
                row = rule_row(found, assets, confidence=config.audit.confidence)
                cleaned.append(Cleaned(view=view, row=row))
        if lacking:
            raise ValueError(_unanswered(lacking, views=len(paths)))
        for one, path in zip(cleaned, paths.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, view_text(one.view))
        write_text(run.dir / "results.json", json.dumps(_numbers(cleaned), indent=2))
        run.finish()
    lines = [*_table(cleaned), "", *_notes(cleaned)]
    lines.append(f"{len(cleaned)} views in {directory}, results.json in {run.dir}")
    return "\n".join(lines)


def _wanted(config: Config, rule: RuleName) -> ContributionConfig:
    """Lay the numbers of data.contribution over the rule that it names, or else over each."""
    wanted, rules = config.data.contribution, config.clean.rules
    if wanted.rule not in ("none", *rules):
        raise ValueError(
            f"data.contribution.rule is {wanted.rule}, but clean.rules is {rules}, and nothing "
            "that is set goes unread: name it there too, or leave it out."
        )
    mine = wanted if wanted.rule in ("none", rule) else ContributionConfig()
    return replace(mine, rule=rule, weighted=False)


def _judged(
    wanted: ContributionConfig,
    cache: Path,
    samples: Sequence[Sample],
    scores: Mapping[str, Scores],
) -> Judged | Unjudged:
    """Judge by one rule, or say what it lacks: no probe, where it keeps everything in any case."""
    rule = rule_of(wanted)
    items = question_features(samples, rule.condition, rule.how)
    zero = np.zeros(len(samples), dtype=np.int64)
    nothing = [Counts(n=zero, n_correct=zero) for _ in queries(rule)]
    bands = apply_rule(rule, nothing, items)
    if not (bands == "missing").any():
        return Judged(
            name=rule.name, rule=rule, voters=(), items=items, counts=nothing, bands=bands
        )
    found = judge(wanted, cache, samples, scores)
    if not found:
        return not_asked(rule)
    few = min(one.missing for one in found)
    best = [one for one in found if one.missing == few]
    if few:
        return asked_too_seldom(best[0])
    if len(best) > 1:
        keys = ", ".join(one.voters[0][:8] for one in best)
        reason = (
            f"{len(best)} probes could vote ({keys}); name one with data.contribution.rule="
            f"{rule.name} 'data.contribution.probes=[{best[0].voters[0][:8]}]'"
        )
        return Unjudged(name=rule.name, reason=reason, commands=[])
    return best[0]


def _asking_least(wanted: ContributionConfig, lacks: Unjudged) -> Unjudged:
    """Ask as probe.until does, which stops where a rule of one voter with its own numbers can."""
    rule = rule_of(wanted)
    voters = {ask.voter for ask in queries(rule)}
    if (
        rule != rule_of(ContributionConfig(rule=wanted.rule))
        or len(voters) > 1
        or not lacks.commands
    ):
        return lacks
    return replace(lacks, commands=[f"python eval.py stage=probe probe.until={rule.name}"])


def _models(
    cache: Path, judged: Judged, facts: Mapping[str, Mapping[str, object]]
) -> list[dict[str, str]]:
    """Name the probes that voted, in the order of their votes."""
    keys = [find_probe(cache, name) for voter in judged.voters for name in voter.split("+")]
    return [{"key": key, "model": str(facts[key].get("model", "unknown"))} for key in keys]


def _view(
    name: str, samples: Sequence[Sample], judged: Judged, voters: Sequence[Mapping[str, str]]
) -> CleanView:
    """Write down what became of every question."""
    rule = judged.rule
    numbers = asdict(rule)
    for apart in ("name", "condition", "how"):
        numbers.pop(apart)
    rows = [
        JudgedQuestion(
            id=sample.id,
            content_hash=sample.content_hash,
            band=band,
            kept=band != "weak",
            reason=reason,
        )
        for sample, band, reason in zip(
            samples, judged.bands.tolist(), _reasons(judged), strict=True
        )
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


def _reasons(judged: Judged) -> Iterator[str]:
    """Say of every question why it is retained, or how often it was answered without."""
    rule = judged.rule
    counts = [
        count
        for ask, count in zip(queries(rule), judged.counts, strict=True)
        if (ask.condition, ask.how) == (rule.condition, rule.how)
    ]
    right = np.sum([count.n_correct for count in counts], axis=0).tolist()
    answers = np.sum([count.n for count in counts], axis=0).tolist()
    undefined = judged.items.undefined.tolist()
    for place, band in enumerate(judged.bands.tolist()):
        match band:
            case "undefined":
                yield undefined[place]
            case "unstable":
                yield f"its source has fewer than {rule.min_questions} questions"
            case _:
                yield f"{right[place]} of {answers[place]} answers are right"


def _unanswered(lacking: Sequence[tuple[str, Unjudged]], *, views: int) -> str:
    """Say which views cannot be made, and which commands would change that."""
    told = [
        f"{len(lacking)} of {views} views lack answers, and what was not asked is never guessed. "
        "Ask with these commands and the same data=... and model=..., or leave a rule out of "
        "clean.rules:"
    ]
    for name, one in lacking:
        told += [f"  {name} by {one.name}: {one.reason}"]
        told += [line for command in one.commands for line in shell(command, split=name)]
    return "\n".join(told)


def _numbers(cleaned: Sequence[Cleaned]) -> object:
    """Collect what results.json says of each view."""
    views = [
        {
            "set": one.view.set,
            "rule": one.view.rule,
            "questions": one.before,
            "kept": one.after,
            "bands": one.row.bands,
            "weak": asdict(one.row.weak),
            "guesser": one.row.guesser,
            "probes": one.view.probes,
        }
        for one in cleaned
    ]
    return finite({"views": views})


def _table(cleaned: Sequence[Cleaned]) -> list[str]:
    """Show the questions of each set before and after, and of all sets together."""
    head = ["set", "rule", "before", "after", "kept %", "undefined", "unstable", "undet."]
    head += ["weak %", "guesser %"]
    cells = []
    for one in cleaned:
        bands = [one.row.bands[band] for band in ("undefined", "unstable", "undetermined")]
        guesser = "-" if np.isnan(one.row.guesser) else f"{100 * one.row.guesser:.1f}"
        cells.append(
            [
                *(one.view.set, one.view.rule, str(one.before), str(one.after)),
                f"{100 * one.after / one.before:.1f}",
                *map(str, bands),
                percent(one.row.weak, digits=1),
                guesser,
            ]
        )
    by_rule = _by_rule(cleaned)
    for rule, views in by_rule.items() if len(cleaned) > len(by_rule) else ():
        before, after = sum(one.before for one in views), sum(one.after for one in views)
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
    rules = dict.fromkeys(one.view.rule for one in cleaned)
    return {rule: [one for one in cleaned if one.view.rule == rule] for rule in rules}


def _notes(cleaned: Sequence[Cleaned]) -> Iterator[str]:
    """Say whose answers were read, and which set an average over questions is mostly about."""
    for one in cleaned:
        voters = ", ".join(f"{probe['key'][:8]} ({probe['model']})" for probe in one.view.probes)
        asked = f"{one.view.condition}/{one.view.how} of {voters or 'no probe: it keeps all'}"
        yield f"{one.view.set} by {one.view.rule} reads {asked}"
    for rule, views in _by_rule(cleaned).items():
        kept = sum(one.after for one in views)
        if len(views) > 1 and kept:
            largest = max(views, key=lambda one: one.after)
            yield (
                f"{100 * largest.after / kept:.0f} % of what {rule} keeps is of "
                f"{largest.view.set}, which an average over questions is about as much: read the "
                "macro average, in which all sets count alike, first"
            )
