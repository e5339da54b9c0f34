"""Preview: show what a training with these settings would give its model; no weights are loaded."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.schema import Config
from datamodules.batch import Batch
from datamodules.loading.packing import pack_batches
from datamodules.loading.streams import BatchStream, RoundDataset
from datamodules.loading.too_long import enforce_limit
from datamodules.prompts.encoder import PromptEncoder
from datamodules.questions import QuestionData
from datamodules.sample import Sample
from datamodules.sources.index.table import take
from datamodules.sources.quarantine import Quarantine
from inference.generate import question_bar
from inference.loading import build_encoder, weights_of
from runtime.runs import Run, open_run
from runtime.writing import write_text
from training.preview.budget import step_notes
from training.preview.counts import count_answers, find_duplicates, list_entries
from training.preview.findings import Findings, SetAside
from training.preview.page import page
from training.preview.reading import first_places, read_questions, spread
from training.preview.strange import find_strange
from training.preview.terminal import report
from training.rejection_sampling import cached_traces
from training.run import traces_for
from training.stages import build_data, imitates

PAGE = "questions.html"


def preview(config: Config) -> str:
    """Read the questions as a training does, and write the page; return the text to print."""
    trained = trained_as(config)
    with open_run(config) as run:
        found, file = look(trained, run), run.dir / PAGE
        write_text(file, page(found, megabytes=config.preview.megabytes))
        run.finish()
    return f"{report(found)}\n\npage: {file}"


def trained_as(config: Config) -> Config:
    """Return the settings of the training, except that no model is asked: where cached answers are
    missing, the error names the command that asks."""
    contribution = config.data.contribution
    if contribution.on_missing == "probe":
        contribution = replace(contribution, on_missing="error")
    data = replace(config.data, contribution=contribution)
    return replace(config, stage=config.preview.of, data=data)


def skipping(config: Config) -> Config:
    """Return settings with which a training would go on where it otherwise stops, see
    `refusals`."""
    data, sft = replace(config.data, max_bad_share=1.0), replace(config.sft, too_long="skip")
    return replace(config, data=data, sft=sft if imitates(config) else config.sft)


def traces_in_reach(config: Config, run: Run) -> tuple[Path | None, str]:
    """Return the traces that are imitated, or what would be sampled first."""
    if config.stage == "distill" and config.distill.method == "self":
        return cached_traces(config, run)
    return traces_for(config, run), ""


def look(config: Config, run: Run) -> Findings:
    """Find all that a preview says of a training."""
    encoder, wanted = build_encoder(config), config.preview
    traces, first_sampled = traces_in_reach(skipping(config), run)
    data = build_data(skipping(config), encoder, run, traces=traces)
    if first_sampled:  # what the manifest has as completions is not imitated
        data.with_targets, data.longest = False, None
    data.setup()
    stream = data.stream(rank=0, world=config.trainer.devices * config.trainer.num_nodes)
    questions, places = stream.questions, stream.pool.places
    measured = measure(stream, encoder, spread(places, wanted.measured), data.pack_tokens)
    entries = dict(zip(places.tolist(), list_entries(kept(stream)), strict=True))
    strange = find_strange(entries, measured.sizes, wanted.n)
    first = read_questions(stream, first_places(stream), encoder)
    shown = [*islice(first, wanted.n)]
    odd = [(one, strange[one.place]) for one in read_questions(stream, strange, encoder)]
    packs, unpacked = first_packs(stream, config.trainer.accumulate_grad_batches, data.pack_tokens)
    sizes, weighted = [*measured.sizes.values()], stream.pool.weights is not None
    return Findings(
        stage=config.stage,
        split=config.data.train,
        model=weights_of(config),
        records=questions.manifest_rows,
        usable=len(data.train_questions.samples),
        kept=len(places),
        refusals=[*refusals(config, data), *(measured.refusals or unpacked)],
        aside=list_aside(questions.quarantine),
        bands=Counter(band for band in data.selected.bands.tolist() if band),
        entries=entries,
        answers=count_answers(kept(stream)),
        sizes=sizes,
        unreadable=measured.unreadable,
        duplicates=find_duplicates(kept(stream)),
        steps=[
            *([first_sampled] if first_sampled else []),
            *step_notes(config, len(places), sizes, weighted=weighted, packs=packs),
        ],
        first=shown,
        strange=odd,
    )


def kept(stream: BatchStream) -> Iterator[Sample]:
    """Walk the questions of an epoch as they are put to the model, media unread."""
    questions = stream.questions
    return map(questions.arrange_options, take(questions.samples, stream.pool.places))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The questions that were read to measure them."""

    sizes: Mapping[int, Mapping[str, float]]
    """By their places, see `ReadQuestion.sizes`."""

    unreadable: int
    refusals: Sequence[str]
    """Why some of them would stop the training."""


def measure(
    stream: BatchStream, encoder: PromptEncoder, places: NDArray[np.int64], pack_tokens: int
) -> Measured:
    """Read questions, and keep their sizes alone."""
    sizes: dict[int, Mapping[str, float]] = {}
    refused: list[str] = []
    with question_bar(len(places), "measure") as bar:
        for one in read_questions(stream, places, encoder):
            sizes[one.place] = one.sizes
            if pack_tokens:
                refused += refusal(partial(pack_batches, [one.batch], budget=pack_tokens))
            bar.update()
    return Measured(sizes=sizes, unreadable=len(places) - len(sizes), refusals=refused[:1])


def refusal(check: Callable[[], object]) -> list[str]:
    """Return what a check of the training raises, as the training would say it."""
    try:
        check()
    except ValueError as error:
        return [str(error)]
    return []


def refusals(config: Config, data: QuestionData) -> list[str]:
    """List why the training would stop, though the preview goes on."""
    quarantine, limit = data.train_questions.quarantine, data.longest
    quarantine.max_bad_share = config.data.max_bad_share
    said = refusal(lambda: quarantine.check(data.train_questions.manifest_rows))
    if limit is not None:
        rule = replace(limit, beyond=config.sft.too_long)
        stream = data.stream(rank=0, world=1)
        asked = len(stream.pool.places) + len(data.too_long)
        samples = stream.questions.samples
        said += refusal(lambda: enforce_limit(data.too_long, samples, asked, rule))
    return said


def list_aside(quarantine: Quarantine) -> list[SetAside]:
    """List the reasons why records were set aside, the most frequent first."""
    found = []
    for reason, count in quarantine.counts.most_common():
        id_, path, detail = quarantine.first(reason)
        found.append(SetAside(reason=reason, count=count, id=id_, path=path, detail=detail))
    return found


def first_packs(
    stream: BatchStream, micro_batches: int, budget: int
) -> tuple[int | None, list[str]]:
    """Count the micro-batches into which a budget of tokens cuts the first step, or say why it
    cannot be cut."""
    if not budget or not len(stream.pool.places):
        return None, []
    rounds = RoundDataset(stream, micro_batches=micro_batches, first=0, pack_tokens=budget)
    packs: list[Batch] = []
    said = refusal(lambda: packs.extend(next(rounds.iter_shard(0, 1))))
    return len(packs) or None, said
