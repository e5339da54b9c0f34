"""Write the card of an export: front matter as the hub reads it, and the same for people."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from huggingface_hub import EvalResult, ModelCardData

from configs.credentials import masked
from configs.schema import SAMPLED, Config
from evaluation.statistics.tables import percent, percent_bounds
from publishing.origin import OURS
from publishing.record import Record
from publishing.scores import ScoreTable
from publishing.settings import PLACE, command_of, portable, shown_settings
from untrusted.json_text import json_of
from untrusted.terminal import escaped

TASKS = {
    "qwen2_5_omni_thinker": "any-to-any",
    "qwen3_omni_moe_thinker": "any-to-any",
    "qwen2_5_vl": "image-text-to-text",
    "qwen3_vl": "image-text-to-text",
    "qwen2_audio": "audio-text-to-text",
}
"""The hub's name for what a kind of model takes and gives, by its type; the rest reads text."""

STAGES = {
    "sft": "supervised fine-tuning",
    "rlvr": "reinforcement learning from verifiable rewards",
    "distill": "distillation",
    "prealign": "evidence pre-alignment",
}


@dataclass(frozen=True, kw_only=True)
class Card:
    """All that a card is written from."""

    name: str
    """Of the model: that of its repository or run."""

    config: Config
    record: Record
    model_type: str
    """As in `config.json` of the weights."""

    architecture: str
    adapter: bool
    """The card is of adapters alone."""

    scores: ScoreTable | None = None
    datasets: Sequence[str] = ()


def make_card(
    weights: Path,
    config: Config,
    record: Record,
    *,
    name: str,
    adapter: bool = False,
    scores: ScoreTable | None = None,
) -> str:
    """Write the card of a run's weights.

    Args:
        weights: directory of the whole weights, also for the card of adapters.
        name: of the model on the hub, or of its run.
    """
    described = json_of((weights / "config.json").read_text())
    card = Card(
        name=name,
        config=config,
        record=record,
        model_type=str(described["model_type"]),
        architecture=str((described.get("architectures") or ["AutoModel"])[0]),
        adapter=adapter,
        scores=scores,
        datasets=config.push.datasets,
    )
    return card_text(card)


def card_text(card: Card) -> str:
    """Write all of a README.md."""
    parts = [
        f"---\n{front_matter(card)}\n---",
        f"# {_plain(card.name)}",
        _opening(card),
        "## Data\n\n" + _data(card),
        "## Training\n\n" + _training(card),
        "## Scores\n\n" + "\n".join(_scores(card)),
        "## Load it\n\n" + _loading(card),
        "## Versions\n\n" + ", ".join(f"{k} {v}" for k, v in card.record.versions.items()) + ".",
    ]
    return masked("\n\n".join(parts)) + "\n"


def front_matter(card: Card) -> str:
    """Write the metadata as YAML."""
    origin, config = card.record.origin, card.config
    tags = [OURS, config.stage, *(["lora"] if config.model.lora.rank else [])]
    data = ModelCardData(
        base_model=origin.id,
        library_name="peft" if card.adapter else "transformers",
        pipeline_tag=_task(card),
        tags=tags,
        datasets=[*card.datasets] or None,
        language=[*origin.language] or None,
        license=origin.license,
        license_name=origin.license_name,
        license_link=origin.license_link,
        model_name=_plain(card.name),
        eval_results=eval_results(card) or None,
    )
    return str(data.to_yaml()).strip()


def eval_results(card: Card) -> list[EvalResult]:
    """List the scores as the hub's `model-index` has them."""
    table = card.scores
    if table is None:
        return []
    return [
        EvalResult(
            task_type=_task(card),
            dataset_type=row.data,
            dataset_name=f"{row.data}/{row.set}",
            dataset_split=row.set,
            metric_type="accuracy",
            metric_name=f"accuracy in percent, shown: {table.condition}",
            metric_value=_percent(row.own.mean),
            metric_args={
                "confidence": table.confidence,
                "interval": [*percent_bounds(row.own)],
                "questions": row.own.n,
                "clusters": row.own.clusters,
            }
            if percent_bounds(row.own)
            else {"questions": row.own.n, "clusters": row.own.clusters},
        )
        for row in table.rows
    ]


def _task(card: Card) -> str:
    return TASKS.get(card.model_type, "text-generation")


def _opening(card: Card) -> str:
    origin = card.record.origin
    what = "Adapters (LoRA) beside" if card.adapter else "Weights trained from"
    base = (
        f"[{origin.id}](https://huggingface.co/{origin.id})" if origin.id else _plain(origin.name)
    )
    through = f", by way of {_plain(origin.name)}" if origin.id not in (None, origin.name) else ""
    license_ = origin.license_name or origin.license
    terms = (
        f"The card of the base model names its license: {license_}."
        if license_
        else "The base model has no card that names a license: ask those who made it."
    )
    return (
        f"{what} {base}{through}, by {STAGES[card.config.stage]} (`stage={card.config.stage}`). "
        f"{terms}"
    )


def _data(card: Card) -> str:
    data, found = card.config.data, card.record.trained_on
    sources = "\n".join(f"| {_cell(name)} | {count} |" for name, count in found.sources.items())
    wanted = data.contribution
    if wanted.rule == "none":
        rule = f"No rule filtered them: all {found.questions} were trained on."
    else:
        rule = (
            f"The rule `{wanted.rule}` (`keep={wanted.keep}`, `control={wanted.control}`) kept "
            f"{found.kept} of {found.questions}."
        )
    lines = [
        f"`{_plain(data.name)}`, manifest `{portable(data.train)}`, task `{data.task}`: "
        f"{found.questions} questions. {rule}",
        f"| source | questions |\n|---|---|\n{sources}",
    ]
    if card.datasets:
        lines.append(f"On the hub: {', '.join(card.datasets)}.")
    return "\n\n".join(lines)


def _training(card: Card) -> str:
    config, changed = card.config, shown_settings(card.config)
    objective = ""
    if config.stage in SAMPLED:
        chosen = config.rlvr.objective
        objective = (
            f" The objective: baseline `{chosen.baseline}`, rewards scaled by "
            f"`{chosen.scale_rewards}`, surrogate `{chosen.surrogate}`, importance by "
            f"`{chosen.importance_sampling_level}`, sums by `{chosen.loss_aggregation}`."
        )
    elif config.stage == "distill":
        objective = f" The method: `{config.distill.method}`."
    command = command_of(config, changed)
    fence = _fence(command)
    where = f", where {PLACE} is a directory of yours" if f"{PLACE}/" in command else ""
    rows = "\n".join(f"| {key} | {_cell(value)} |" for key, value in changed.items())
    settings = f"| setting | value |\n|---|---|\n{rows}" if changed else "All are the defaults."
    return (
        f"{card.record.steps} optimizer steps.{objective} This repeats it{where}:\n\n"
        f"{fence}sh\n{command}\n{fence}\n\n"
        f"Settings that differ from the defaults of the stage:\n\n{settings}"
    )


def _scores(card: Card) -> Iterator[str]:
    table = card.scores
    if table is None:
        yield "No benchmark has scored these weights yet."
        return
    graded = "" if table.by == "answer" else ", answered by a reader from descriptions alone"
    first = f", the first {table.limit} questions of each set" if table.limit else ""
    yield (
        f"Accuracy in percent{graded}, shown: {table.condition}{first}; in brackets the "
        f"{table.confidence:.0%} interval by bootstrap over recordings and pictures (clusters). "
        "Text only: the same model with all media withheld."
    )
    yield ""
    yield f"| set | questions | clusters | {_cell(table.base)} | these weights | text only |"
    yield "|---|---|---|---|---|---|"
    for row in table.rows:
        base = "" if row.base is None else percent(row.base)
        blind = "" if row.text_only is None else f"{_percent(row.text_only)}"
        name = _cell(f"{row.data}/{row.set}")
        own = row.own
        yield f"| {name} | {own.n} | {own.clusters} | {base} | {percent(own)} | {blind} |"


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _loading(card: Card) -> str:
    model, name = card.architecture, json.dumps(card.name, ensure_ascii=False)
    if card.adapter:
        base = card.record.origin.id or "BASE"
        lines = [
            "from peft import PeftModel",
            f"from transformers import {model}",
            "",
            f'base = {model}.from_pretrained("{base}")',
            f"model = PeftModel.from_pretrained(base, {name})",
        ]
    else:
        lines = [
            f"from transformers import AutoProcessor, {model}",
            "",
            f"model = {model}.from_pretrained({name})",
            f"processor = AutoProcessor.from_pretrained({name})",
        ]
    code = "\n".join(lines)
    fence = _fence(code)
    return f"{fence}python\n{code}\n{fence}"


def _fence(code: str) -> str:
    """Choose the marks around code, which may hold such marks itself."""
    return "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))


def _plain(text: str) -> str:
    """Write a name without what Markdown or HTML would take for more."""
    return re.sub(r"[`<>\[\]*|]", "_", escaped(PurePath(text).name if text[:1] == "/" else text))


def _cell(text: str) -> str:
    """Write a cell of a table."""
    return escaped(text).replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
