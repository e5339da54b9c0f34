"""What several tests share: an untrained tiny model, and questions with media of every kind."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded, here and in processes

import gc
import shutil
import signal
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assets.make_tiny import make_tiny
from datamodules.batch import Batch, Completions
from datamodules.digits.build import ensure
from datamodules.media.files import Decoded
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import Prompt, PromptEncoder
from datamodules.prompts.templates import INSTRUCTIONS
from datamodules.sample import Sample
from modules.policy.omni import OmniModel
from tests.small_digits import SMALL

CORPUS = ["Which digit is in the image?\nA. 3\nB. 7", "What do you hear?", *INSTRUCTIONS.values()]


LONGEST = (
    *("test_resume.py", "test_signals.py", "test_secrets.py", "test_preemption.py"),
    *("test_files.py", "test_golden_losses.py", "test_running.py", "test_wandb_curves.py"),
    *("test_chat_template.py", "test_serving.py", "test_stopping.py", "test_distributed.py"),
    *("test_wandb_runs.py", "test_sweeps.py", "test_arms_run.py", "test_tutorials.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, or one core would run them last and another wait."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Look for garbage in what tests make, and not again and again in all that was imported."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let Python end as it does without the above."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _share_the_cores() -> Iterator[None]:
    """Give up the priority over all others that SVT-AV1, which encodes a test's film, takes for the
    whole process where root runs it: two children that never end would leave no core to their
    test."""
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(scope="session", autouse=True)
def _hear_interrupts() -> None:
    """Let the processes that tests start hear SIGINT, which `make test &` in a script ignores."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def open_to_all(tmp_path: Path) -> Path:
    """A directory that every user of this machine may enter, and so may those above it."""
    above = [place for place in tmp_path.parents if Path(tempfile.gettempdir()) in place.parents]
    for place in (tmp_path, *above):
        place.chmod(0o755)
    return tmp_path


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a tiny model with random weights."""
    path = tmp_path_factory.mktemp("untrained")
    make_tiny(path, corpus=CORPUS * 10)
    return path


@pytest.fixture(scope="session")
def _digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "digits"
    ensure(folder, sizes=SMALL)
    return folder


@pytest.fixture(scope="module")
def root(_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small digits set, built once, of which each file of tests has a copy to leave caches in."""
    return shutil.copytree(_digits, tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(scope="session")
def encoder(untrained: Path) -> PromptEncoder:
    return PromptEncoder(str(untrained))


@pytest.fixture(scope="session")
def _untrained_policy(untrained: Path, encoder: PromptEncoder) -> OmniModel:
    return OmniModel.load(str(untrained), encoder.tokenizer)


@pytest.fixture
def policy(_untrained_policy: OmniModel) -> OmniModel:
    return deepcopy(_untrained_policy)


def make_sample(name: str = "a", question: str = "Which digit is it?", **fields: object) -> Sample:
    """Make a choice of three digits, or a question with other fields."""
    usual = {
        **{"id": name, "question": question},
        **{"options": ("3", "8", "5"), "answer": "B", "answer_type": "choice"},
        **{"source": "test", "asset_id": name, "content_hash": "0" * 32},
    }
    return Sample(**usual | fields)


def picture(rng: np.random.Generator) -> Decoded:
    return Decoded(modality="image", image=rng.integers(0, 255, (56, 56, 3), dtype=np.uint8))


def clip(rng: np.random.Generator, seconds: float = 0.5) -> Decoded:
    wave = rng.normal(size=int(16_000 * seconds)).astype(np.float32) * 0.1
    return Decoded(modality="audio", audio=wave)


def film(rng: np.random.Generator) -> Decoded:
    """Four steps of two frames, with half a second of sound."""
    frames = rng.integers(0, 255, (8, 56, 56, 3), dtype=np.uint8)
    return Decoded(modality="video", frames=frames, fps=4.0, audio=clip(rng).audio)


def make_prompt(encoder: PromptEncoder, sample: Sample, media: list[Decoded]) -> Prompt:
    put = replace(sample, answer_with=encoder.answer_with)
    return encoder.prompt(put, [(item.role, encoder.features(item)) for item in media])


@pytest.fixture(scope="session")
def ragged(encoder: PromptEncoder) -> Batch:
    """Four prompts of different lengths: film, picture and sound; two sounds; pictures; text."""
    rng = np.random.default_rng(0)
    media = [
        [picture(rng), film(rng), clip(rng, 0.7)],
        [clip(rng, 0.3), clip(rng, 0.9)],
        [picture(rng), picture(rng)],
        [],
    ]
    samples = [make_sample(f"s{number}", "Which digit?" * (number + 1)) for number in range(4)]
    prompts = [make_prompt(encoder, *pair) for pair in zip(samples, media, strict=True)]
    return collate(samples, prompts, step=0)


@pytest.fixture(scope="session")
def continuations() -> Completions:
    """Three completions for each of the four prompts of `ragged`, of 1 to 9 tokens."""
    generator = torch.Generator().manual_seed(0)
    lens = [3, 1, 7, 5, 5, 2, 4, 9, 4, 6, 2, 8]
    rows = [torch.randint(20, 300, (length,), generator=generator).tolist() for length in lens]
    return Completions.of(rows, [number // 3 for number in range(12)])


@pytest.fixture(scope="session")
def tiny_encoder() -> PromptEncoder:
    """Of the shipped model, which can answer, if not always right."""
    return PromptEncoder("assets/tiny", answer_with="text")


@pytest.fixture(scope="session")
def _shipped_policy(tiny_encoder: PromptEncoder) -> OmniModel:
    return OmniModel.load("assets/tiny", tiny_encoder.tokenizer)


@pytest.fixture
def tiny_policy(_shipped_policy: OmniModel) -> OmniModel:
    return deepcopy(_shipped_policy)


@pytest.fixture(scope="session")
def quiz(tiny_encoder: PromptEncoder) -> Batch:
    """Four questions that the shipped model sometimes answers: text, picture, sound, and both; the
    view without media shows noise in place of noise of another kind."""
    rng = np.random.default_rng(3)
    media = [[], [picture(rng)], [clip(rng)], [picture(rng), clip(rng)]]
    samples = [
        replace(make_sample(f"q{n}", f"Which digit comes after {n + 1}?"), answer=answer)
        for n, answer in enumerate("ABCA")
    ]
    samples = [replace(one, answer_with=tiny_encoder.answer_with) for one in samples]
    shown = [make_prompt(tiny_encoder, *pair) for pair in zip(samples, media, strict=True)]
    blind = [make_prompt(tiny_encoder, sample, []) for sample in samples]
    batch = collate(samples, shown, step=0)
    return replace(batch, views={"blind": collate(samples, blind, step=0)})
