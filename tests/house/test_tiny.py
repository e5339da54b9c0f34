"""The committed model: what `model=tiny` promises to those who build on it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.option_scoring import plain_option_scores
from configs.load import load_config
from datamodules.loading.question_set import InOrder, QuestionSet, load_questions
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder
from modules.grading import answer
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from tests.conftest import make_sample
from tests.datamodules.digits.test_build import root  # noqa: F401 - a fixture: a small digits set
from training.run import build_encoder, build_policy

TINY = Path("assets/tiny")


@pytest.fixture(scope="module")
def tiny() -> tuple[PromptEncoder, OmniModel]:
    config = load_config(["stage=rlvr"], ("rlvr",))
    encoder = build_encoder(config)
    return encoder, build_policy(config, encoder).eval()


@pytest.fixture
def asked(tiny, root, tmp_path) -> QuestionSet:  # noqa: F811
    config = load_config(["stage=rlvr", f"data.root={root}", "data.embedded=false"], ("rlvr",))
    return load_questions(config.data, "test", tiny[0], run_dir=tmp_path)


def accuracy(policy: OmniModel, questions: QuestionSet) -> tuple[float, float]:
    """Share of right and of readable greedy answers."""
    greedy = Sampling(group_size=1, max_tokens=32, temperature=0.0)
    batches = InOrder(questions, batch_size=32)
    answers = [one for batch in batches for one in answer(policy, batch, greedy, seed=0)]
    assert len(answers) > 50
    right = sum(one.n_correct for one in answers) / len(answers)
    return right, 1 - sum(one.n_unparsed for one in answers) / len(answers)


def test_size_and_parameters():
    assert (TINY / "model.safetensors").stat().st_size <= 8_000_000
    encoder = PromptEncoder(str(TINY))
    policy = OmniModel.load(str(TINY), encoder.tokenizer)
    assert 2e6 < sum(p.numel() for p in policy.parameters()) < 4e6


def test_it_answers_in_the_format_and_sees_and_hears(tiny, asked):
    """Plain questions about one picture or one recording; guessing gets about a quarter."""
    asked.samples = [s for s in asked.samples if {"see", "hear"} & set(s.id.split("-"))]
    right, parsed = accuracy(tiny[1], asked)
    assert parsed > 0.9
    assert right > 0.45


def test_without_the_media_it_only_guesses(tiny, asked):
    asked.samples = [s for s in asked.samples if {"see", "hear"} & set(s.id.split("-"))]
    seeing, _ = accuracy(tiny[1], asked)
    blind, _ = accuracy(tiny[1], asked.under("text_only", "absent"))
    assert blind < seeing - 0.15


def test_other_pictures_and_sounds_change_what_it_believes(tiny, asked):
    """Options are scored again after the media of all questions moved on by one question."""
    encoder, policy = tiny
    chosen = [s for s in asked.samples if "-see-" in s.id and s.answer_type == "choice"][:16]
    asked.samples = chosen
    batch = asked.batch(range(len(chosen)), step=0)
    options = [encoder.option_targets(sample) for sample in batch.samples]
    moved = batch.to("cpu")
    patches = int(batch.image_grid[0].prod())
    moved.images = batch.images.roll(patches, dims=0)
    before, after = (
        plain_option_scores(policy, batch, options),
        plain_option_scores(policy, moved, options),
    )
    finite = torch.isfinite(before)
    assert ((before - after).abs()[finite] > 1e-3).float().mean() > 0.9


def test_it_answers_without_media_and_describes_evidence(tiny):
    encoder, policy = tiny
    assert encoder.answer_with == "text"
    sample = replace(make_sample(question="Which number is larger, 3 or 8?"), answer_with="text")
    batch = collate([sample], [encoder.prompt(sample, [])], step=0)
    greedy = Sampling(group_size=1, max_tokens=32, temperature=0.0)
    (said,) = answer(policy, batch, greedy, seed=0)
    assert said.completions[0].startswith("<answer>")
