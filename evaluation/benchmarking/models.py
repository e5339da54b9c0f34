"""The models of a benchmark: the key of their answers, and how missing answers are generated."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import final

import torch
from transformers import PreTrainedTokenizerBase

from configs.benchmark import parse_condition
from configs.probing import ProbeConfig
from configs.schema import Config
from datamodules.batch import Batch
from datamodules.contribution.probe_cache import probe_key
from datamodules.prompts.encoder import PromptEncoder
from datamodules.sample import Sample
from evaluation.benchmarking.answers import (
    Answer,
    AnswerKey,
    append_answers,
    describe_key,
    new_file,
    read_answers,
)
from evaluation.benchmarking.datasets import BenchmarkSet
from evaluation.probing.probe import probe_facts
from evaluation.shards import shard_of
from inference.frozen import FrozenModel, weights_digest
from inference.generate import batches, load_reader, with_weights
from inference.loading import build_encoder, name_of_weights, weights_of
from modules.grading import answer
from modules.policy.sampling import Sampling
from modules.rewards.reader import Reader
from modules.verifiers.verify import NOTHING, Verdict


@final
class LazyReader:
    """The model that answers from descriptions; loaded when the first description is there."""

    def __init__(self, config: Config) -> None:
        self.config = config
        path = config.prealign.reader or weights_of(config)
        encoder = build_encoder(with_weights(config, path))
        self.facts = {
            "weights_digest": weights_digest(path, encoder),
            "prompt_template": encoder.template("answer_from_description"),
            "max_tokens": config.prealign.reader_max_tokens,
        }

    @cached_property
    def reader(self) -> Reader:
        """The loaded model."""
        return load_reader(self.config)

    def verdicts(self, descriptions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
        """Grade each description by the answer that the reader gives from it."""
        return self.reader.grade(descriptions, samples)


@dataclass(frozen=True, kw_only=True)
class EvaluatedModel:
    """One checkpoint, and where its answers are kept."""

    name: str
    path: str
    frozen: FrozenModel
    key: str
    folder: Path
    reader: LazyReader | None

    def answers(self) -> dict[AnswerKey, Answer]:
        """Read its answers so far, of this benchmark and others."""
        return read_answers(self.folder)


def evaluated_models(config: Config, reader: LazyReader | None) -> list[EvaluatedModel]:
    """List the baseline and every checkpoint; all must read the same prompts."""
    settings = config.benchmark
    decoding = ProbeConfig(max_completion_tokens=settings.max_completion_tokens)
    paths = [weights_of(config), *settings.checkpoints]
    names = unique_names([config.model.name, *map(name_of_weights, settings.checkpoints)])
    models: list[EvaluatedModel] = []
    for name, path in zip(names, paths, strict=True):
        frozen = FrozenModel(with_weights(config, path))
        if models:
            _check_same_prompts(models[0].frozen.encoder, frozen.encoder, path)
        facts = probe_facts(
            replace(config, probe=decoding),
            model=config.model.name,
            weights=frozen.digest,
            encoder=frozen.encoder,
            greedy=True,
        )
        if reader is not None:
            facts["decoding"] = {"describes": facts["decoding"], "reader": reader.facts}
        key = probe_key(**facts)  # type: ignore[arg-type] # as probe_facts lists them
        folder = Path(config.data.root) / settings.cache / key  # an absolute one replaces it
        describe_key(folder, facts)
        models.append(
            EvaluatedModel(
                name=name, path=path, frozen=frozen, key=key, folder=folder, reader=reader
            )
        )
    return models


def answer_missing(model: EvaluatedModel, sets: Sequence[BenchmarkSet], config: Config) -> None:
    """Generate this process's share of the answers that are missing."""
    number, shards = shard_of(config.benchmark.shard, os.environ, "benchmark.shard")
    known, file = model.answers(), new_file(model.folder)
    for dataset in sets:
        for setting, order, indices in dataset.requests():
            own = {
                dataset.answer_key(n, setting, order): n
                for n in indices
                if n % shards == number - 1
            }
            todo = {
                key: n
                for key, n in own.items()
                if key not in known or known[key].completion is None
            }
            answered: dict[AnswerKey, Answer] = {}
            for answers in _generate(model, dataset, setting, order, [*todo.values()], config):
                append_answers(file, answers)
                answered |= answers
            failed = {
                key: Answer(prompt="", completion=None) for key in todo if key not in answered
            }
            append_answers(file, {key: failed[key] for key in failed if key not in known})
            known |= failed | answered
    model.frozen.unload()


def _generate(
    model: EvaluatedModel,
    dataset: BenchmarkSet,
    setting: str,
    order: int,
    indices: Sequence[int],
    config: Config,
) -> Iterator[dict[AnswerKey, Answer]]:
    """Answer questions greedily in one setting; those that cannot be shown are quarantined."""
    if not indices:
        return
    settings, reader = config.benchmark, model.reader
    condition, how = parse_condition(setting)
    questions = dataset.questions.with_condition(condition, how, option_seed=order)
    questions.samples = [dataset.samples[n] for n in indices]
    keys = {dataset.samples[n].id: dataset.answer_key(n, setting, order) for n in indices}
    sampling = Sampling(group_size=1, max_tokens=settings.max_completion_tokens, temperature=0.0)
    label = f"{model.name}, {dataset.name} {setting}" + (f", order {order + 1}" if order else "")
    grade = ungraded if reader is None else reader.verdicts
    for batch in batches(questions, batch_size=settings.batch_size, label=label):
        prompts = rendered(batch, model.frozen.encoder.tokenizer)
        groups = answer(model.frozen.policy, batch, sampling, seed=config.seed, grade=grade)
        yield {
            keys[group.sample.id]: Answer(
                prompt=prompt,
                completion=group.completions[0],
                reader_verdict=None if reader is None else group.verdicts[0],
            )
            for prompt, group in zip(prompts, groups, strict=True)
        }


def ungraded(completions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
    """Leave grading to those that read the answers: verdicts by rules are not kept."""
    return [NOTHING for _ in samples]


def rendered(batch: Batch, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Decode prompts as the model reads them, with one placeholder for the many of a medium."""
    added = torch.tensor(sorted(tokenizer.added_tokens_decoder))
    texts = []
    for ids in batch.prompt_ids.cpu().split(batch.prompt_lens):
        again = torch.zeros_like(ids, dtype=torch.bool)
        again[1:] = (ids[1:] == ids[:-1]) & torch.isin(ids[1:], added)
        texts.append(str(tokenizer.decode(ids[~again].tolist())))
    return texts


def count_missing(
    models: Sequence[EvaluatedModel], sets: Sequence[BenchmarkSet]
) -> tuple[int, int]:
    """Count the answers that a table needs, and those of them that were never tried."""
    keys = {
        dataset.answer_key(n, setting, order)
        for dataset in sets
        for setting, order, indices in dataset.requests()
        for n in indices
    }
    folders = {model.key: model for model in models}  # the same weights may be named twice
    missing = sum(len(keys - model.answers().keys()) for model in folders.values())
    return len(keys) * len(folders), missing


def _check_same_prompts(encoder: PromptEncoder, other: PromptEncoder, path: str) -> None:
    """Raise where a checkpoint would read the prompts of the baseline differently."""
    same_words = encoder.tokenizer.get_vocab() == other.tokenizer.get_vocab()
    if not same_words or encoder.template_hash != other.template_hash:
        raise ValueError(
            f"{path} has another vocabulary or chat template than the baseline, so it would not "
            "be asked the same questions: score it in a benchmark of its own with init_from."
        )


def unique_names(names: Sequence[str]) -> list[str]:
    """Number names that occur again."""
    taken: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        taken.append(name if name not in taken else next(n for n in numbered if n not in taken))
    return taken
