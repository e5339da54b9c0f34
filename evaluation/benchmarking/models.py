"""The checkpoints of a benchmark: what names their answers, and how the missing ones are asked."""

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
    Asked,
    append_answers,
    describe_key,
    new_file,
    read_answers,
)
from evaluation.benchmarking.datasets import BenchmarkSet
from evaluation.probing.local import LocalProbe, weights_digest
from evaluation.probing.panel import share_of
from inference.generate import batches, load_reader, with_weights
from inference.loading import build_encoder, weights_of
from modules.grading import answer
from modules.policy.sampling import Sampling
from modules.rewards.reader import Reader
from modules.verifiers.verify import NOTHING, Verdict


@final
class Readers:
    """Who reads descriptions: named at once, loaded when the first one is there to be read."""

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
        """The frozen model that answers by descriptions."""
        return load_reader(self.config)

    def verdicts(self, descriptions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
        """Judge each description by the answer that it leads to."""
        return self.reader.grade(descriptions, samples)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One checkpoint, and where its answers are kept."""

    name: str
    path: str
    probe: LocalProbe
    """The model; its facts name the answers, as they name those of a probe."""

    key: str
    folder: Path
    readers: Readers | None

    def answers(self) -> dict[Asked, Answer]:
        """Read what it has answered so far, in this benchmark or another."""
        return read_answers(self.folder)


def contenders_of(config: Config, readers: Readers | None) -> list[Contender]:
    """Name the model itself and every checkpoint, and see that all read the same prompts."""
    settings = config.benchmark
    asked = ProbeConfig(max_completion_tokens=settings.max_completion_tokens)
    paths = [weights_of(config), *settings.checkpoints]
    names = distinct([config.model.name, *map(_name, settings.checkpoints)])
    found: list[Contender] = []
    for name, path in zip(names, paths, strict=True):
        probe = LocalProbe(replace(with_weights(config, path), probe=asked))
        if found:
            _check_same_prompts(found[0].probe.encoder, probe.encoder, path)
        facts = probe.facts(greedy=True)
        if readers is not None:
            facts["decoding"] = {"describes": facts["decoding"], "reader": readers.facts}
        key = probe_key(**facts)  # type: ignore[arg-type] # as LocalProbe lists them
        folder = Path(config.data.root) / settings.cache / key  # an absolute one replaces it
        describe_key(folder, facts)
        found.append(
            Contender(name=name, path=path, probe=probe, key=key, folder=folder, readers=readers)
        )
    return found


def fill(contender: Contender, sets: Sequence[BenchmarkSet], config: Config) -> None:
    """Ask a checkpoint this process's share of what it has not answered yet."""
    number, shares = share_of(config.benchmark.shard, os.environ, "benchmark.shard")
    known, file = contender.answers(), new_file(contender.folder)
    for one in sets:
        for setting, order, indices in one.passes():
            todo = {one.asked(n, setting, order): n for n in indices if n % shares == number - 1}
            todo = {
                asked: n
                for asked, n in todo.items()
                if asked not in known or known[asked].said is None
            }
            tried: dict[Asked, Answer] = {}
            for answers in _ask(contender, one, setting, order, [*todo.values()], config):
                append_answers(file, answers)
                tried |= answers
            failed = {asked: Answer(prompt="", said=None) for asked in todo if asked not in tried}
            append_answers(file, {asked: failed[asked] for asked in failed if asked not in known})
            known |= failed | tried
    contender.probe.close()


def _ask(
    contender: Contender,
    one: BenchmarkSet,
    setting: str,
    order: int,
    indices: Sequence[int],
    config: Config,
) -> Iterator[dict[Asked, Answer]]:
    """Put questions in one way, greedily; those that cannot be shown are quarantined."""
    if not indices:
        return
    settings, probe, readers = config.benchmark, contender.probe, contender.readers
    condition, how = parse_condition(setting)
    put = one.questions.under(condition, how, option_seed=order)
    put.samples = [one.samples[n] for n in indices]
    names = {one.samples[n].id: one.asked(n, setting, order) for n in indices}
    sampling = Sampling(group_size=1, max_tokens=settings.max_completion_tokens, temperature=0.0)
    label = f"{contender.name}, {one.name} {setting}" + (f", order {order + 1}" if order else "")
    judge = unjudged if readers is None else readers.verdicts
    for batch in batches(put, batch_size=settings.batch_size, label=label):
        prompts = rendered(batch, probe.encoder.tokenizer)
        said = answer(probe.policy, batch, sampling, seed=config.seed, judge=judge)
        yield {
            names[each.sample.id]: Answer(
                prompt=prompt,
                said=each.completions[0],
                read=None if readers is None else each.verdicts[0],
            )
            for prompt, each in zip(prompts, said, strict=True)
        }


def unjudged(completions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
    """Leave judging to whoever reads the answers: a verdict is not kept."""
    return [NOTHING for _ in samples]


def rendered(batch: Batch, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Write prompts as the model read them, with one placeholder for the many of a medium."""
    added = torch.tensor(sorted(tokenizer.added_tokens_decoder))
    texts = []
    for ids in batch.prompt_ids.cpu().split(batch.prompt_lens):
        again = torch.zeros_like(ids, dtype=torch.bool)
        again[1:] = (ids[1:] == ids[:-1]) & torch.isin(ids[1:], added)
        texts.append(str(tokenizer.decode(ids[~again].tolist())))
    return texts


def lacking(contenders: Sequence[Contender], sets: Sequence[BenchmarkSet]) -> tuple[int, int]:
    """Count the answers that a table needs, and those of them that nobody has tried to give."""
    wanted: set[tuple[str, Asked]] = set()
    missing: set[tuple[str, Asked]] = set()
    for contender in contenders:
        known = contender.answers()
        asked = {
            one.asked(n, setting, order)
            for one in sets
            for setting, order, indices in one.passes()
            for n in indices
        }
        wanted |= {(contender.key, each) for each in asked}
        missing |= {(contender.key, each) for each in asked - known.keys()}
    return len(wanted), len(missing)


def _check_same_prompts(encoder: PromptEncoder, other: PromptEncoder, path: str) -> None:
    """Raise where a checkpoint would read the prompts of the baseline as something else."""
    same_words = encoder.tokenizer.get_vocab() == other.tokenizer.get_vocab()
    if not same_words or encoder.template_hash != other.template_hash:
        raise ValueError(
            f"{path} has another vocabulary or chat template than the baseline, so it would not "
            "be asked the same questions: score it in a benchmark of its own with init_from."
        )


def _name(path: str) -> str:
    """Call an export by its run, any other directory by its own name."""
    directory = Path(path)
    return directory.parent.name if directory.name == "export" else directory.name


def distinct(names: Sequence[str]) -> list[str]:
    """Number names that occur again."""
    taken: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        taken.append(name if name not in taken else next(n for n in numbered if n not in taken))
    return taken
