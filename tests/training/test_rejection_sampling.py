"""Traces, end to end on a small digits set: sampled once, kept safe, filtered as often as asked."""

import errno
import fcntl
import json
import logging
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from configs.load import load_config
from configs.schema import Config
from datamodules.loading.question_set import load_questions
from inference.loading import build_encoder
from runtime.runs import Run
from training.rejection_sampling import key_facts, traces_of

Row = dict[str, object]
SAMPLING = "distill.rejection_sampling"


def config(root: Path, base: Path, *words: str) -> Config:
    usual = ("samples=3", "max_correct=3", "batch_size=4", "max_completion_tokens=12", "limit=20")
    own = [f"{SAMPLING}.{word}" for word in (f"cache={base / 'traces'}", *usual)]
    fixed = ["stage=distill", "data=manifest", f"data.root={root}"]
    return load_config([*fixed, *own, *words], ("distill",))


def traced(settings: Config, folder: Path) -> list[Row]:
    """Trace within a run directory; read what is left there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "run.lock").open("a") as lock:
        return lines(traces_of(settings, Run(dir=folder, resumed=False, lock=lock)))


def lines(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def cache(base: Path) -> Path:
    (file,) = (base / "traces").glob("*.jsonl")
    return file


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the cached traces of 20 questions, and the run that sampled them."""
    base = tmp_path_factory.mktemp("made")
    traced(config(root, base), base / "run")
    return base


@pytest.fixture
def base(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def test_every_trace_has_a_row_with_what_all_filters_say(made):
    rows = lines(made / "run" / "traces.jsonl")
    assert [row["number"] for row in rows] == [0, 1, 2] * 20
    assert len({row["id"] for row in rows}) == 20
    told = {"suitable", "claim", "consistency", "conclusion", "kept", "dropped", "repaired"}
    assert all(told <= row.keys() for row in rows)
    assert all(row["kept"] == (row["dropped"] == "") for row in rows)
    for row in rows:
        same = [one for one in rows if one["id"] == row["id"]]
        assert row["n_right"] == sum(one["correct"] and one["finished"] for one in same)


def test_what_is_kept_is_finished_and_right(made):
    kept = [row for row in lines(made / "run" / "traces.jsonl") if row["kept"]]
    assert 0 < len(kept) < 60
    assert all(row["finished"] and row["correct"] for row in kept)


def test_other_filters_sample_nothing_again(base, root):
    """What a run reads is what the cache holds, which here no policy would say."""
    file = cache(base)
    *others, last = lines(file)
    last["texts"] = ["I cannot hear the audio.", "So the answer is Oslo.", "<|AUDIO|>"]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in (*others, last)))
    before = file.read_bytes()
    words = (f"{SAMPLING}.only_correct=false", f"{SAMPLING}.quality=false")
    rows = traced(config(root, base, *words), base / "again")
    assert [row["completion"] for row in rows[-3:]] == last["texts"]
    assert [row["claim"] for row in rows[-3:]] == ["cannot hear the audio", "", "<|AUDIO|>"]
    assert file.read_bytes() == before


@pytest.mark.parametrize("left", [0, 0.3, 0.77, 0.999])
def test_a_run_that_was_killed_while_sampling_comes_to_the_same_traces(base, root, left):
    """The cache is cut anywhere, as a kill cuts it, mostly within a line."""
    file, rows = cache(base), lines(base / "run" / "traces.jsonl")
    whole = file.read_bytes()
    file.write_bytes(whole[: int(left * len(whole))])
    assert traced(config(root, base), base / "again") == rows
    assert file.read_bytes() == whole


def test_more_questions_ask_only_what_is_new(base, root):
    before = cache(base).read_bytes()
    rows = traced(config(root, base, f"{SAMPLING}.limit=23"), base / "more")
    after = cache(base).read_bytes()
    assert after.startswith(before) and len(after.splitlines()) == 23
    assert rows[:60] == lines(base / "run" / "traces.jsonl")


def test_what_changes_a_trace_has_a_file_of_its_own(base, root):
    words = (f"{SAMPLING}.limit=1", f"{SAMPLING}.temperature=0.5")
    traced(config(root, base, *words), base / "cooler")
    facts = [json.loads(file.read_text()) for file in (base / "traces").glob("*.json")]
    assert sorted(one["decoding"]["temperature"] for one in facts) == [0.5, 1.0]


def test_two_runs_at_once_sample_each_question_once(root, tmp_path):
    settings = config(root, tmp_path, f"{SAMPLING}.limit=8")
    with ThreadPoolExecutor() as pool:
        one, other = pool.map(lambda n: traced(settings, tmp_path / f"run{n}"), range(2))
    assert one == other
    assert len(lines(cache(tmp_path))) == 8


def test_a_spoiled_line_is_named_with_the_way_out(base, root):
    file = cache(base)
    first, *others = file.read_text().splitlines(keepends=True)
    file.write_text("".join([first, "{}\n", *others]))
    with pytest.raises(ValueError, match=r":2 is no question with its traces.*delete the line"):
        traced(config(root, base), base / "again")


def test_several_processes_share_what_is_cached_and_sample_nothing(base, root):
    together = config(root, base, "trainer.devices=2")
    assert traced(together, base / "two") == lines(base / "run" / "traces.jsonl")
    more = config(root, base, "trainer.devices=2", f"{SAMPLING}.limit=21")
    with pytest.raises(ValueError, match=r"1 of 21 questions have no traces.*trainer\.devices=1"):
        traced(more, base / "two")


def test_a_question_that_cannot_be_shown_is_counted_and_holds_nobody_up(root, tmp_path, caplog):
    data = Path(shutil.copytree(root, tmp_path / "data"))
    spoiled = next(row for row in lines(data / "train.jsonl") if row.get("media"))
    (data / spoiled["media"][0]["path"]).write_bytes(b"no medium")
    words = (f"{SAMPLING}.limit=4", "data.max_bad_share=0.9")
    with caplog.at_level(logging.INFO):
        rows = traced(config(data, tmp_path, *words), tmp_path / "run")
    assert spoiled["id"] not in {row["id"] for row in rows}
    unshown = 4 - len({row["id"] for row in rows})
    assert re.search(rf"questions that could not be shown +{unshown}\n", caplog.text)
    assert rows == traced(config(data, tmp_path, *words, "trainer.devices=2"), tmp_path / "two")


def test_a_policy_that_would_be_shown_nothing_is_not_loaded(base, root, tmp_path):
    """The cache lacks one question, whose medium is spoiled since. Where there is no GPU to load
    it to, loading would raise."""
    rows = lines(base / "run" / "traces.jsonl")
    data = Path(shutil.copytree(root, tmp_path / "data"))
    asked = {row["id"] for row in rows}
    spoiled = next(r for r in lines(data / "train.jsonl") if r["id"] in asked and r.get("media"))
    (data / spoiled["media"][0]["path"]).write_bytes(b"no medium")
    file = cache(base)
    file.write_text(
        "".join(f"{json.dumps(row)}\n" for row in lines(file) if row["id"] != spoiled["id"])
    )
    before = file.read_bytes()
    gpu = () if torch.cuda.is_available() else ("trainer.accelerator=gpu",)
    words = ("data.max_bad_share=0.9", *gpu)
    again = traced(config(data, base, *words), base / "again")
    assert again == [row for row in rows if row["id"] != spoiled["id"]]
    assert file.read_bytes() == before


def test_traces_are_kept_by_the_wording_that_asked_for_them(root, tmp_path):
    words, hashes = ("stage=sft", "data=manifest", f"data.root={root}"), {}
    for asks in ("answer", "answer_from_description"):
        settings = load_config([*words, f"data.task={asks}"], ("sft",))
        encoder = build_encoder(settings)
        questions = load_questions(settings.data, "train", encoder, run_dir=tmp_path)
        hashes[asks] = key_facts(settings, questions)["prompt_template"]
        assert hashes[asks] == encoder.template(settings.data.task)
    assert hashes["answer"] != hashes["answer_from_description"]


@pytest.mark.parametrize("leads", [True, False])
def test_only_the_process_that_leads_sums_up(base, root, caplog, leads):
    with (base / "run.lock").open("a") as lock, caplog.at_level(logging.INFO):
        run = Run(dir=base / "run", resumed=False, lock=lock if leads else None)
        traces_of(config(root, base), run)
    assert ("questions with a kept trace" in caplog.text) is leads


def test_a_cache_that_cannot_be_written_is_told_once_and_the_traces_are_the_same(
    base, root, caplog
):
    """A file stands where the directory of the cache should be; a disk may be full as well."""
    known = lines(base / "run" / "traces.jsonl")
    (base / "file").touch()
    words = (f"{SAMPLING}.cache={base / 'file' / 'traces'}", f"{SAMPLING}.limit=4")
    rows = traced(config(root, base, *words), base / "again")
    assert rows and rows == known[: len(rows)]
    assert caplog.text.count("the cache of traces grows no further") == 1


def test_a_file_system_without_locks_does_without_the_cache(base, root, caplog, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    known, before = lines(base / "run" / "traces.jsonl"), cache(base).read_bytes()
    more = config(root, base, f"{SAMPLING}.limit=21")
    assert traced(more, base / "again")[: len(known)] == known
    assert cache(base).read_bytes() == before
    assert caplog.text.count("the cache of traces grows no further: [Errno 37]") == 1
