"""Six questions with cached counts, for tests of selection."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from configs.schema import ContributionConfig, DataConfig, MediaConfig
from datamodules.contribution.probe_cache import ProbeRow, describe_probe, write_shard
from datamodules.contribution.selection import Selected, select_questions
from datamodules.sample import Media, Sample
from tests.conftest import make_sample

BUDGET = MediaConfig(image_max_pixels=3136, video_max_frames=8, audio_max_seconds=2.0)
KEY, OTHER, THIRD = "a" * 32, "b" * 32, "c" * 32
ABLATED = {"q0": 16, "q1": 0, "q2": 7, "q4": 8}
FULL = {"q0": 16, "q1": 8, "q2": 11, "q3": 4, "q4": 4}


def question(number: int) -> Sample:
    return make_sample(
        f"q{number}",
        options=("3", "8", "5", "6"),
        media=() if number == 3 else (Media(modality="audio", path=f"{number}.wav"),),
        source="small" if number == 4 else "big",
        content_hash=f"{number:032x}",
    )


SAMPLES = [question(number) for number in range(6)]


def probed(
    root: Path,
    correct: Mapping[str, int],
    key: str = KEY,
    n: int = 16,
    samples: Sequence[Sample] = SAMPLES,
    **setting: object,
) -> None:
    """Cache `n` answers for each question named, text-only unless told otherwise."""
    asked = {"condition": "text_only", "how": "absent", "option_seed": 0, **setting}
    rows = [
        ProbeRow(
            sample_id=sample.id,
            content_hash=sample.content_hash,
            probe_key=key,
            n=n,
            n_correct=correct[sample.id],
            n_unparsed=0,
            shard="1/1",
            time=0.0,
            **asked,
        )
        for sample in samples
        if sample.id in correct
    ]
    describe_probe(
        root / "probes", key, {"model": f"m-{key[0]}", "decoding": {"method": "generate"}}
    )
    write_shard(root / "probes", rows)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    probed(tmp_path, ABLATED)
    return tmp_path


def select(root: Path, *, seed: int = 0, **settings: object) -> Selected:
    chosen = ContributionConfig(**{"rule": "calibrated", "min_questions": 2, **settings})
    data = DataConfig(name="six", root=str(root), media=BUDGET, contribution=chosen)
    return select_questions(SAMPLES, data, seed=seed, run_dir=root)


def rows(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / "selection.jsonl").read_text().splitlines()]
