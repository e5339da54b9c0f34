"""Options without letters, all the way: what is asked, imitated, answered, kept and judged again.

The question lists the notes C, A, B, D, and C is right: by letters `A` would be.
"""

import hashlib
import json
from pathlib import Path

import pytest

from configs.load import load_config
from configs.schema import Config
from datamodules.loading.option_scoring import option_scoring
from datamodules.loading.question_set import QuestionSet, load_questions
from datamodules.prompts.description_prompts import asked_batch, told_batch
from datamodules.questions import QuestionData
from evaluation.benchmarking.answers import Answer
from evaluation.benchmarking.datasets import BenchmarkSet, load_set
from evaluation.benchmarking.results import read_left
from evaluation.benchmarking.scoring import judged, outcome, rows
from evaluation.probing.probe import Asking
from evaluation.probing.served import ServedProbe
from inference.loading import build_encoder
from modules.rewards.verifier_reward import matches_exactly
from modules.verifiers.verify import verify
from runtime.runs import Run
from tests.evaluation.probing.test_openai_client import said, serving
from training.rejection_sampling import key_facts, traces_of

STAGES = ("sft", "probe", "benchmark", "distill")
NOTES = ["C", "A", "B", "D"]
WAYS = ["text", "letter"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    row = {"id": "q", "question": "Which note is it?", "options": NOTES, "answer": "C"}
    row |= {"completion": "I hear a C. <answer>A</answer>"}
    for name in ("train", "val", "test"):
        named = row | {"id": name, "question": f"{row['question']} {name}"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(named) + "\n")
    return tmp_path


def config(root: Path, way: str, *words: str) -> Config:
    fixed = ["data=manifest", f"data.root={root}", f"run.root={root / 'runs'}"]
    return load_config([*fixed, f"model.answer_with={way}", *words], STAGES)


def questions_of(settings: Config, root: Path, name: str = "train") -> QuestionSet:
    return load_questions(settings.data, name, build_encoder(settings), run_dir=root)


def right(sample, said_by_model: str) -> tuple[bool, bool]:
    completion = f"<answer>{said_by_model}</answer>"
    return verify(completion, sample=sample).correct, matches_exactly(completion, sample)


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_shows_imitates_and_judges_alike(root, way):
    questions = questions_of(config(root, way, "stage=sft"), root)
    expected = {"text": ("C", "A"), "letter": ("A", "C")}[way]
    for order in range(4):
        asked = questions.under("full", "absent", option_seed=order)
        batch = asked.batch([0], step=0, with_targets=True)
        [sample] = batch.samples
        shown = asked.encoder.tokenizer.decode(batch.prompt_ids)
        assert ("A. " in shown) == (way == "letter")
        if order == 0:
            told = asked.encoder.tokenizer.decode(batch.targets[0])
            assert told == f"I hear a C. <answer>{expected[0]}</answer><|im_end|>"
            assert right(sample, expected[0]) == (True, True)
            assert right(sample, expected[1]) == (False, False)
        if way == "text":
            assert right(sample, "C") == (True, True) and right(sample, "A") == (False, False)


@pytest.mark.parametrize("way", WAYS)
def test_scored_options_are_named_as_they_are_shown(root, way):
    questions = questions_of(config(root, way, "stage=probe"), root)
    scoring = option_scoring(questions, [0], orders=4, step=0)
    decode = questions.encoder.tokenizer.decode
    for row, options in zip(scoring.completions.token_ids, scoring.options, strict=True):
        names = [part.partition("</answer>")[0] for part in decode(row).split("<answer>")[-4:]]
        assert names == ([NOTES[n] for n in options] if way == "text" else [*"ABCD"])


@pytest.mark.parametrize("way", WAYS)
def test_who_answers_by_descriptions_is_judged_by_what_he_was_shown(root, way):
    questions = questions_of(config(root, way, "stage=sft"), root)
    told, _ = told_batch(questions.encoder, questions.samples, [["A low note.", "A high note."]])
    alone = asked_batch(questions.encoder, questions.samples)
    for batch in (told, alone):
        [sample] = batch.samples
        assert right(sample, "C") == ((way == "text",) * 2)
        assert right(sample, "A") == ((way == "letter",) * 2)


@pytest.mark.parametrize("way", WAYS)
def test_a_served_model_is_judged_by_what_it_was_shown(root, way):
    """It says `C` in every order: the right note, and the letter of another where there are any."""
    with serving(lambda number, body: said("<answer>C</answer>")) as seen:
        words = (f"probe.server.url={seen.url}", "probe.server.model=m", "probe.backend=openai")
        settings = config(root, way, "stage=probe", *words)
        probe = ServedProbe(settings)
        found = []
        for order in range(4):
            asked = questions_of(settings, root).under("full", "absent", option_seed=order)
            asking = Asking(option_seed=order, first=0, answers=1, greedy=True, label="notes")
            found += [one.n_correct for one in probe.tallies(asked, asking)]
    contents = [body["messages"][-1]["content"] for body in seen.bodies]
    assert all(("A. " in content) == (way == "letter") for content in contents)
    assert found == ([1, 1, 1, 1] if way == "text" else [0, 0, 1, 0])


def benchmark_set(root: Path, way: str) -> BenchmarkSet:
    words = ("stage=benchmark", "benchmark.option_permutations=4", "benchmark.sets=[test]")
    settings = config(root, way, *words)
    return load_set("test", settings, build_encoder(settings), run_dir=root)


@pytest.mark.parametrize("way", WAYS)
def test_answers_that_were_kept_are_judged_by_what_was_shown(root, way):
    one = benchmark_set(root, way)
    answers = {
        one.asked(0, "full", order): Answer(prompt="", said="<answer>C</answer>")
        for order in range(4)
    }
    found = judged(one, answers, "full")
    assert outcome(one, found).right.tolist() == [1.0 if way == "text" else 0.25]
    assert {row["answer_with"] for row in rows(one, found, described=False)} == {way}


def test_answers_to_what_was_shown_otherwise_are_not_found(root):
    lettered, spelled = (benchmark_set(root, way).asked(0, "full", 0) for way in WAYS)
    assert lettered != spelled


def traced(root: Path, way: str, texts: list[str]) -> tuple[Path, list[dict[str, object]]]:
    """Filter traces that a policy is known to have sampled before."""
    words = (
        "stage=distill",
        "distill.rejection_sampling.samples=2",
        "distill.rejection_sampling.max_correct=2",
    )
    words += (f"distill.rejection_sampling.cache={root / 'kept'}",)
    settings = config(root, way, *words)
    questions = questions_of(settings, root)
    [sample] = questions.samples
    known = json.dumps(key_facts(settings, questions), sort_keys=True).encode()
    key = hashlib.blake2b(known, digest_size=16).hexdigest()
    line = {"id": sample.id, "content_hash": sample.content_hash, "texts": texts}
    (root / "kept").mkdir(exist_ok=True)
    text = json.dumps(line | {"finished": [True] * len(texts)})
    (root / "kept" / f"{key}.jsonl").write_text(f"{text}\n")
    folder = root / f"traces-{way}"
    folder.mkdir()
    with (folder / "run.lock").open("a") as lock:
        file = traces_of(settings, Run(dir=folder, resumed=False, lock=lock))
    return file, [json.loads(row) for row in file.read_text().splitlines()]


@pytest.mark.parametrize("way", WAYS)
def test_traces_are_judged_by_what_was_shown(root, way):
    _, found = traced(root, way, ["So it is C. <answer>C</answer>", "So. <answer>A</answer>"])
    assert [row["correct"] for row in found] == [way == "text", way == "letter"]
    assert {row["answer_with"] for row in found} == {way}


def test_traces_that_name_letters_are_not_imitated_where_none_are_shown(root):
    file, _ = traced(root, "letter", ["So. <answer>A</answer>", "So. <answer>C</answer>"])
    settings = config(root, "text", "stage=sft", f"sft.traces={file}")
    with pytest.raises(ValueError, match=r"answer_with=letter, but it is text now.*set it as it"):
        QuestionData(
            settings.data,
            build_encoder(settings),
            batch_size=1,
            seed=0,
            run_dir=root,
            traces=file,
        ).setup("fit")


def test_arms_whose_answers_were_read_in_different_ways_are_told_apart(tmp_path):
    puts = set()
    for name, way in (("a", "text"), ("b", "letter")):
        folder = tmp_path / name
        folder.mkdir()
        results = {"sets": ["test"], "conditions": ["full"], "by": "answer", "answer_with": way}
        results |= {"harness_version": "4", "checkpoints": {"m": str(tmp_path / "m")}}
        (folder / "results.json").write_text(json.dumps(results))
        (folder / "config.yaml").write_text(f"data:\n  root: {tmp_path}\n")
        row = {"set": "test", "condition": "full", "how": "absent", "order": 0, "id": "q"}
        row |= {"content_hash": "0", "correct": True, "asset_id": "q"}
        (folder / "m.jsonl").write_text(json.dumps(row) + "\n")
        puts.add(read_left(folder, None).put)
    assert len(puts) == 2 and any("named by text" in put for put in puts)
