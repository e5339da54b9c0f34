"""Tests of plans: how much a step does, and lengths that are those of the prompts it will read."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import recipes
from configs.ablation import LEFT
from configs.load import SCRIPTS, load_config
from configs.recipe_command import read_command
from configs.schema import Config
from datamodules.loading.question_set import load_questions
from datamodules.prompts.encoder import PromptEncoder
from recipes.lengths import Unmeasured, count_questions, measure
from recipes.outline import describe
from recipes.plan import Amounts, amounts
from recipes.steps import resolve
from tests.datamodules.media.test_files import film, tone

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions about media of every kind, of sizes that no patch divides."""
    path = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (101, 40, 3), dtype=np.uint8)).save(path / "tall.png")
    Image.fromarray(rng.integers(0, 255, (9, 30, 3), dtype=np.uint8)).save(path / "small.png")
    tone(path / "long.wav", seconds=1.37)
    film(path / "film.mp4", frames=7, sound=0.61)
    media = [
        [("image", "tall.png"), ("audio", "long.wav")],
        [("video", "film.mp4")],
        [("image", "small.png")],
        [],
    ]
    rows = [
        {
            "id": f"q{number}",
            "question": "Which digit is it?" * (number + 1),
            "options": ["3", "8", "5"][: 3 - number % 2],
            "answer": "8",
            "evidence": "The image shows the digit 8." * (number + 1),
            "media": [{"modality": kind, "path": file} for kind, file in shown],
        }
        for number, shown in enumerate(media)
    ]
    rows[2]["completion"] = "I see an 8. <answer>8</answer>"
    (path / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (path / "test.jsonl").write_text(f"{json.dumps(rows[1])}\n")
    return path


def config(root: Path, *words: str, stage: str = "sft") -> Config:
    given = [f"stage={stage}", f"data.root={root}", "data.embedded=false"]
    return load_config([*given, "data.media.image_max_pixels=50000", *words], tuple(SCRIPTS))


EVEN = (
    *("trainer.checkpoint_every=12", "trainer.log_every_n_steps=12"),
    "rlvr.log_rollouts_every=12",
)
"""Nothing is looked at within 12 steps."""


def counted(root: Path, *words: str, stage: str = "sft") -> Amounts:
    return amounts(config(root, *words, stage=stage))


@pytest.mark.parametrize("want", ["answer", "describe", "answer_from_description"])
@pytest.mark.parametrize("condition", LEFT)
def test_lengths_are_those_of_the_prompts_that_will_be_read(root, tmp_path, want, condition):
    words = ("model.system_prompt=Be brief.", "model.answer_with=letter", f"data.task={want}")
    asked = config(root, *words)
    encoder = PromptEncoder("assets/tiny", system_prompt="Be brief.", answer_with="letter")
    questions = load_questions(asked.data, "train", encoder, run_dir=tmp_path)
    batch = questions.with_condition(condition, "absent").batch(range(4), step=0, with_targets=True)
    assert batch is not None and batch.targets is not None and len(batch) == 4
    found = measure(asked, "train", condition)
    assert found.n == 4
    assert found.prompt == len(batch.prompt_ids) / 4
    assert found.target == sum(map(len, batch.targets)) / 4


def test_a_medium_that_cannot_be_read_is_left_out_of_the_mean(root, tmp_path):
    for file in root.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "small.png").write_bytes(b"no picture")
    assert measure(config(tmp_path), "train").n == 3
    (tmp_path / "film.mp4").unlink()
    with pytest.raises(Unmeasured, match="no question of test can be read"):
        measure(config(tmp_path), "test")


def test_a_split_may_be_several(root):
    both = config(root)
    assert count_questions(both, "train+test") == 5
    assert count_questions(both, "train+test", limit=3) == 3
    assert measure(both, "train+test").n == 5


def test_what_is_not_there_cannot_be_measured(root, tmp_path):
    with pytest.raises(Unmeasured, match=r"there is no .*val\.jsonl$"):
        measure(config(root), "val")
    with pytest.raises(Unmeasured, match="made on first use"):
        measure(config(tmp_path, "data.embedded=true"), "val")
    with pytest.raises(Unmeasured, match=r"some/model is not a directory with a tokenizer\.json"):
        measure(config(root, "model.path=some/model"), "train")


def test_lengths_of_models_with_another_arithmetic_stay_unknown(root, tmp_path):
    for name in ("tokenizer.json", "chat_template.jinja", "processor_config.json"):
        (tmp_path / name).write_bytes(Path("assets/tiny", name).read_bytes())
    with pytest.raises(Unmeasured, match=r"has no config\.json"):
        measure(config(root, f"model.path={tmp_path}"), "train")
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    with pytest.raises(Unmeasured, match=r"of type qwen2_5_vl, whose tokens .* only as it runs"):
        measure(config(root, f"model.path={tmp_path}"), "train")


def test_imitation_reads_each_prompt_of_each_step_once(root):
    """7 steps of 3 micro-batches of 5 prompts in 2 processes: 210 prompts."""
    words = ("max_steps=7", "batch_size=5", "accumulate_grad_batches=3", "devices=2")
    found = counted(root, *(f"trainer.{word}" for word in words))
    lengths = measure(config(root), "train")
    assert (found.steps, found.prompts, found.at_most) == (7, 210, False)
    assert found.prompt_tokens == pytest.approx(210 * lengths.prompt)
    assert found.completion_tokens == pytest.approx(210 * lengths.target)


def test_rounds_of_sampling_feed_several_steps(root):
    """12 steps, 2 x 3 of them from each round: 2 rounds of 2 minibatches of 5 prompts, each with
    4 completions of at most 9 tokens."""
    rounds = ("rlvr.minibatches=2", "rlvr.num_iterations=3", "rlvr.group_size=4")
    steps = ("trainer.max_steps=12", "trainer.batch_size=5", "rlvr.max_completion_tokens=9")
    found = counted(root, *rounds, *steps, *EVEN, stage="rlvr")
    assert (found.steps, found.prompts, found.completion_tokens) == (12, 20, 720)
    assert found.at_most


def test_refilling_may_read_more_in_every_round(root):
    """12 rounds of 2 micro-batches of 5 prompts, and up to 3 micro-batches more, each prompt with 4
    completions of at most 9 tokens. Then 3 rounds of 2 x 2 micro-batches, each for 4 steps."""
    sizes = ("trainer.max_steps=12", "trainer.batch_size=5", "trainer.accumulate_grad_batches=2")
    said = ("rlvr.group_size=4", "rlvr.max_completion_tokens=9")
    words = (*sizes, *said, *EVEN)
    plain = counted(root, *words, stage="rlvr")
    refilled = counted(root, *words, "rlvr.dynamic_sampling.max_batches=3", stage="rlvr")
    assert (plain.prompts, plain.fewer) == (12 * 2 * 5, False)
    assert (refilled.prompts, refilled.fewer) == (12 * (2 + 3) * 5, True)
    assert refilled.completion_tokens == 12 * (2 + 3) * 5 * 4 * 9
    rounds = ("rlvr.minibatches=2", "rlvr.num_iterations=2", "rlvr.dynamic_sampling.max_batches=3")
    assert counted(root, *words, *rounds, stage="rlvr").prompts == 3 * (2 * 2 + 3) * 5


def test_imitation_does_not_refill(root):
    assert counted(root, "rlvr.dynamic_sampling.max_batches=3") == counted(root)


def test_traces_are_sampled_before_they_are_imitated(root):
    """3 questions with 5 traces of at most 11 tokens, and 2 steps of 6 prompts."""
    traces = ("samples=5", "max_completion_tokens=11", "limit=3", "max_correct=4")
    words = (*(f"distill.rejection_sampling.{word}" for word in traces), "trainer.max_steps=2")
    found = counted(root, *words, "trainer.batch_size=6", stage="distill")
    assert (found.steps, found.prompts, found.completion_tokens) == (2, 15, 3 * 55 + 12 * 11)
    assert found.fewer  # a filter may leave out some of the 3, and a cache hold their traces


def test_a_probe_asks_each_condition(root):
    """4 questions, 2 conditions, 3 orders, 2 models: 48 prompts, each with 5 answers of 7."""
    words = ("conditions=[full,text_only]", "option_permutations=3", "samples=5", "checkpoints=[a]")
    words = (*(f"probe.{word}" for word in words), "probe.max_completion_tokens=7")
    found = counted(root, *words, stage="probe")
    full, text = (measure(config(root), "train", each) for each in ("full", "text_only"))
    assert (found.steps, found.prompts, found.completion_tokens) == (0, 48, 48 * 35)
    assert found.prompt_tokens == pytest.approx(24 * full.prompt + 24 * text.prompt)
    assert full.prompt > text.prompt


def test_a_rule_says_how_often_it_asks(root):
    """OmniClean withholds the sound, and asks 16 times."""
    words = (
        "probe.stop_when_decided_by=omniclean",
        "probe.max_completion_tokens=2",
        "probe.limit=3",
    )
    found = counted(root, *words, stage="probe")
    assert (found.prompts, found.completion_tokens) == (3, 3 * 16 * 2)


def test_what_stands_in_for_media_is_as_long_as_they_are(root):
    words = ("probe.conditions=[text_only]", "probe.replacement=silent")
    full = measure(config(root), "train")
    assert counted(root, *words, stage="probe").prompt_tokens == pytest.approx(4 * full.prompt)


def test_a_limit_of_tokens_may_end_a_run_early(root):
    found = counted(root, "trainer.max_tokens=1000")
    assert found.fewer and found.at_most
    assert not counted(root).fewer


def test_a_benchmark_asks_every_checkpoint(root):
    """Of 4 questions, three checkpoints: with media and without, or in three orders."""
    words = ("benchmark.checkpoints=[a,b]", "benchmark.max_completion_tokens=6")
    found = counted(root, *words, "benchmark.sets=[train]", stage="benchmark")
    assert (found.prompts, found.completion_tokens, found.fewer) == (24, 144, True)
    words = (*words, "benchmark.conditions=[full]", "benchmark.option_permutations=3")
    found = counted(root, *words, "benchmark.sets=[train]", stage="benchmark")
    assert found.prompts == 36


def test_how_many_orders_a_question_has_is_not_known_before_it_is_read(root):
    found = counted(
        root, "benchmark.option_permutations=0", "benchmark.sets=[train]", stage="benchmark"
    )
    assert found.prompts is None
    assert any("as often as it has options" in reason for reason in found.unknown)


def test_an_audit_reads_nothing(root):
    assert counted(root, stage="audit") == Amounts()


def test_what_cannot_be_known_stays_unknown_in_a_sum():
    known = Amounts(steps=3, prompts=5, prompt_tokens=2.5, completion_tokens=7, n=4)
    half = Amounts(prompts=6, prompt_tokens=None, unknown=frozenset({"why"}), at_most=True, n=2)
    assert known + half == Amounts(
        steps=3,
        prompts=11,
        prompt_tokens=None,
        completion_tokens=7,
        at_most=True,
        n=4,
        unknown=frozenset({"why"}),
    )


@pytest.fixture
def tea(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tea").mkdir()
    (tmp_path / "tea/digits.yaml").write_text(
        "steps:\n"
        "  - {name: ask, stage: probe, shared: true, probe.conditions: [full]}\n"
        "  - {name: teach, stage: sft, trainer: {max_steps: 1000, batch_size: 2}}\n"
        "  - {name: score, stage: benchmark, benchmark.sets: [gone]}\n"
    )
    monkeypatch.setattr(recipes, "RECIPES", tmp_path)
    return tmp_path


def plan(root: Path, *words: str) -> list[list[str]]:
    place = [f"data.root={root}", "data.embedded=false"]
    command = read_command(["recipe=tea", *place, *words])
    chains = [resolve(command, root / "out", arm) for arm in command.arms or (None,)]
    told = describe(command, chains, "somewhere")
    return [line.split() for line in told.splitlines()]


def test_a_plan_has_a_row_for_each_step_and_one_for_all(root, tea):
    lines = plan(root)
    assert lines[0] == ["tea", "at", "scale", "digits,", "in", "somewhere"]
    rows = {line[0]: line[1:] for line in lines[4:8]}
    assert rows["ask"][:3] == ["-", "<=", "4"]
    assert rows["teach"][:2] == ["1,000", "2,000"]
    assert rows["score"] == ["-", "?", "?", "?"]
    assert rows["in"] == ["all", "1,000", "?", "?", "?"]
    assert ["unknown:", "there", "is", "no", f"{root}/gone.jsonl"] in lines


def test_a_plan_counts_all_arms_and_what_they_share_once(root, tea):
    lines = plan(root, "seeds=[1,2,3]", "skip=[score]")
    rows = {line[0]: line[1:] for line in lines[4:7]}
    assert rows["ask"][:3] == ["-", "<=", "4"]
    assert rows["teach"][:4] == ["x", "3", "1,000", "2,000"]
    assert rows["in"][:4] == ["all", "3,000", "<=", "6,004"]
    assert "base-2, base-3," in " ".join(lines[-2]) and lines[-1] == ["base:", "as", "it", "is"]


def test_a_plan_tells_arms_apart_that_cost_more(root, tea):
    arms = "arms=[[],teach:trainer.max_steps=30]"
    lines = plan(root, arms, "seeds=[1,2]", "skip=[score]")
    rows = {line[0]: line[1:] for line in lines[4:8]}
    assert rows["base/teach"][:4] == ["x", "2", "1,000", "2,000"]
    assert rows["max_steps=30/teach"][:4] == ["x", "2", "30", "60"]
    assert rows["in"][:4] == ["all", "2,060", "<=", "4,124"]
    assert lines[-1] == ["max_steps=30:", "teach:trainer.max_steps=30"]


def test_a_plan_tells_what_is_finished(root, tea):
    (root / "out/base-2/teach").mkdir(parents=True)
    (root / "out/base-2/teach/finished").touch()
    lines = plan(root, "seeds=[1,2,3]")
    assert lines[5][:5] == ["teach", "x", "3", "(1", "finished)"]


def test_a_plan_is_told_without_torch():
    code = (
        "import sys, recipes.running; heavy = {'torch', 'transformers', 'lightning'};"
        "sys.exit(str(heavy & {*sys.modules}) if heavy & {*sys.modules} else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
