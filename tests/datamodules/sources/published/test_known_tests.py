"""Known test questions: by their words in any format, by the names of their files and fields."""

import csv
import json
import time
from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import datamodules.sources.published.known_tests as known_tests_module
from assets.known_tests import main
from configs.schema import DataConfig, MediaConfig
from datamodules.contamination.splits import without_tests
from datamodules.loading.question_set import load_questions, load_splits
from datamodules.sample import Media, Sample
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.index.sealed import sealed
from datamodules.sources.index.table import SampleTable
from datamodules.sources.manifest import read_manifest
from datamodules.sources.published.known_tests import (
    FILE,
    TEMPLATE_ASSETS,
    known_in,
    known_set,
    known_tests,
    question_key,
    read_known,
)
from datamodules.sources.quarantine import Quarantine
from tests.conftest import make_sample
from tests.format_media import FIXTURES

BUDGET = MediaConfig(image_max_pixels=3136, video_max_frames=8, audio_max_seconds=2.5)
ROARS = "Based on the given audio, identify the source of the roars."
BEASTS = ["Lion", "Dog", "Wolf", "Bear"]
"""A question of MMAU, whose hash was published with those of the others."""

LETTERED = [f"{letter}. {text}" for letter, text in zip("ABCD", BEASTS, strict=True)]
OTHER = "Based on the given audio, identify the source of the rows."


def data(root: Path, **settings: object) -> DataConfig:
    return DataConfig(name="some", root=str(root), media=BUDGET, **settings)


def sample(number: int, question: str = OTHER, **fields: object) -> Sample:
    media = (Media(modality="audio", path=f"{number}.wav"),)
    usual = {"options": tuple(BEASTS), "answer": "A", "source": "some", "media": media}
    own = {"asset_id": str(number), "content_hash": f"{number:032}"}
    return make_sample(f"q{number}", question, **usual | own | fields)


def manifest(root: Path, name: str, questions: int, tests: int, **more: object) -> Path:
    """Write questions of our own, the last of which are a test's, each with a recording."""
    rows = []
    for number in range(questions):
        known = number >= questions - tests
        name_ = f"{name}-{number}.wav"
        (root / name_).write_bytes(f"{name_}".encode())
        rows.append({
            "id": f"{name}{number}", "question": ROARS if known else f"{OTHER} {number}",
            "options": BEASTS, "answer": "Lion", "media": [{"modality": "audio", "path": name_}],
            "asset_id": f"{name}{0 if known else number}",
        } | more)  # fmt: skip
    path = root / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_file_has_what_was_published():
    """9,119 questions of seven sets, each hash once, sorted, as `assets.known_tests` leaves it."""
    pairs = read_known(FILE)
    assert Counter(name for name, _ in pairs) == {
        **{"daily_omni": 1196, "mmar": 1000, "mmau": 1341, "mmvu": 999},
        **{"omnivideobench": 997, "video_mme": 2696, "video_mmmu": 890},
    }
    assert pairs == sorted(pairs) and len({key for _, key in pairs}) == len(pairs)


def test_a_hash_is_that_of_the_words_of_question_and_sorted_options():
    """Full-width letters are folded, options are sorted once they are normalized, `_` is a word."""
    words = "who s\u00e9 a_b\n10\na cat\nz 2\nz 2"
    expected = blake2b(words.encode(), digest_size=8).digest()
    options = ["(A) Z-2", "B) a cat!", "C: z 2", "10"]
    assert question_key(" \uff37ho -- s\u00c9, a_b?", options) == expected
    assert (
        question_key("Vitamin A: what?", []) == blake2b(b"vitamin a what", digest_size=8).digest()
    )


def test_a_published_question_is_known_by_its_words():
    assert known_set(ROARS, BEASTS) == "mmau"
    assert known_set(ROARS.upper().replace(",", " -"), BEASTS[::-1]) == "mmau"
    assert known_set(ROARS, LETTERED) == known_set(ROARS, LETTERED[::-1]) == "mmau"
    assert known_set(OTHER, BEASTS) is None
    assert known_set(ROARS, [*BEASTS, "Cat"]) is known_set(ROARS, BEASTS[:3]) is None
    assert known_set(ROARS, ()) is None


@pytest.mark.parametrize(
    "prompt",
    [
        "{question}\n{lines}",
        "{question}\nOptions:\n{lines}\nAnswer with the letter of the option alone.",
        "{question} Options:\n{lines}\n Please provide only the letter in <answer> tags.",
        "You hear a sound.\nQuestion: {question}\n{lines}",
        "Listen. Listen well! {question} {inline}",
        "{question} (A) Lion (B) Dog (C) Wolf (D) Bear",
        "{question} A) Lion; B) Dog; C) Wolf; D) Bear",
        "{question} Please choose the answer from the following options: {listed}.",
        "{question} Select one option from {json}",
        "{question}\nLion\nDog\nWolf\nBear",
        "{question}\nA Lion\nB Dog\nC Wolf\nD Bear\nAnswer:",
        "{question}\n1. Lion\n2. Dog\n3. Wolf\n4. Bear\nGive a number.",
        "{question} a) Lion b) Dog c) Wolf d) Bear",
        "{question}\n| A | Lion |\n| B | Dog |\n| C | Wolf |\n| D | Bear |",
        "{question} [A] Lion [B] Dog [C] Wolf [D] Bear Choose the correct option.",
        "{question} Option A - Lion, Option B - Dog, Option C - Wolf, Option D - Bear",
        "{question}\n<A>Lion</A>\n<B>Dog</B>\n<C>Wolf</C>\n<D>Bear</D>",
        "{question}\n1- Lion\n2- Dog\n3- Wolf\n4- Bear\nAnswer with a number.",
        "<|audio_bos|><|AUDIO|><|audio_eos|>{question} Lion, Dog, Wolf or Bear?",
        "[INST] {question} (Lion / Dog / Wolf / Bear)",
        "Q: {question} Choose one of: Lion, Dog, Wolf, or Bear.",
        "\u95ee\u9898\uff1a{question}\n\u9009\u9879\uff1a\n{lines}",
        "Be brief.\n\nUser: Hello A. Smith!\n\nAssistant: Hi.\n\nUser: {question}\n{lines}",
    ],
)
def test_a_question_is_known_inside_a_prompt(prompt):
    said = prompt.format(
        **{"question": ROARS, "lines": "\n".join(LETTERED), "inline": " ".join(LETTERED)},
        **{"listed": str(BEASTS), "json": json.dumps(BEASTS)},
    )
    assert known_set(said, ()) == "mmau"
    assert known_set(said.replace("roars", "rows"), ()) is None
    if "{lines}" in prompt:  # as chats are read
        assert known_set(said.replace("\n".join(LETTERED), ""), BEASTS) == "mmau"


def test_an_open_question_counts_from_eight_words_on(tmp_path, monkeypatch):
    """ "What is shown?" is asked of many films; a longer question is a set's own."""
    file, rows = tmp_path / "known.tsv", tmp_path / "open.jsonl"
    asked = ["What is shown?", "Which law of motion does the teacher derive?"]
    row = {"id": "1", "answer": "x", "answer_type": "text"}
    rows.write_text("".join(json.dumps(row | {"question": one}) + "\n" for one in asked))
    file.write_text("# Nothing is known.\n")
    main([f"open={rows}"], file)
    monkeypatch.setattr(known_tests_module, "FILE", file)
    known_tests_module._known.cache_clear()
    try:
        assert [known_set(one, ()) for one in asked] == [None, "open"]
        assert known_set(f"Look.\n{asked[1]}", ()) == "open"
        assert known_set(asked[1], BEASTS) is None
    finally:
        known_tests_module._known.cache_clear()


def formats(root: Path) -> dict[str, Path]:
    """Write the same known question as it would come in many formats."""
    (root / "a.wav").write_bytes(b"RIFF")
    (root / "a.mp4").write_bytes(b"film")
    chat = [
        {"role": "user", "content": "<audio>" + "\n".join([ROARS, *LETTERED])},
        {"role": "assistant", "content": "<answer>A</answer>"},
    ]
    talk = [{"from": "human", "value": chat[0]["content"]}, {"from": "gpt", "value": "It roars."}]
    rows = {
        "own": {"id": "1", "question": ROARS, "options": BEASTS[::-1], "answer": "Lion",
                "media": [{"modality": "audio", "path": "a.wav"}]},
        "columns": {"question": ROARS, "choices": LETTERED, "answer": "A", "audio": "a.wav"},
        "chat": {"messages": chat, "audios": ["a.wav"]},
        "open": {"conversations": talk, "audios": ["a.wav"]},
        "verl": {"prompt": chat[:1], "audios": ["a.wav"], "data_source": "mine",
                 "reward_model": {"ground_truth": "A"}, "extra_info": {"split": "train"}},
        "alpaca": {"instruction": chat[0]["content"], "output": "A", "audios": ["a.wav"]},
        "audiomcq": {"source_dataset": "mine", "audio_path": "a.wav", "question": ROARS,
                     "choices": BEASTS, "answer": "Lion"},
        "avqa": {"id": 1, "question_text": ROARS, "multi_choice": BEASTS, "answer": 0,
                 "audio_path": "a.wav", "dataset_name": "AVQA"},
        "video_r1": {"problem_id": 1, "problem": ROARS, "problem_type": "multiple choice",
                     "data_type": "video", "path": "a.mp4", "options": LETTERED,
                     "solution": "<answer>A</answer>", "data_source": "LLaVA-Video-178K"},
    }  # fmt: skip
    paths = {}
    for name, row in rows.items():
        paths[name] = root / f"{name}.json"
        paths[name].write_text(json.dumps([row]))
        pq.write_table(
            pa.Table.from_pylist([row]), paths.setdefault(f"{name}+", root / f"{name}.parquet")
        )
    cells = {name: str(value) for name, value in rows["columns"].items()}
    for ending, mark in (("csv", ","), ("tsv", "\t")):
        paths[ending] = root / f"table.{ending}"
        with paths[ending].open("w", newline="") as file:
            csv.writer(file, delimiter=mark).writerows([cells, cells.values()])
    return paths


def test_a_question_is_known_in_every_format(tmp_path):
    for name, path in formats(tmp_path).items():
        quarantine = Quarantine(max_bad_share=1)
        samples = read_manifest(path, tmp_path, quarantine)
        assert len(samples) == 1, (name, quarantine.counts)
        assert known_tests(samples) == {0: "mmau"}, name


def test_more_than_the_share_are_refused_and_named(tmp_path):
    manifest(tmp_path, "mine", 49, 1), manifest(tmp_path, "val", 3, 0)
    with pytest.raises(
        ValueError, match=r"1 of the 49 questions of mine\.jsonl are known .*1 of mma"
    ) as e:
        load_splits(data(tmp_path, train="mine"), None, validate=True, run_dir=tmp_path)
    assert "such as 'mine48'" in str(e.value) and "max_test_share is 0.01" in str(e.value)
    with pytest.raises(ValueError, match=r"1 of the 49 questions of mine\.jsonl"):
        load_splits(data(tmp_path, train="val", val="mine"), None, validate=True, run_dir=tmp_path)
    with pytest.raises(ValueError, match=r"1 of the 49 questions of mine\.jsonl"):
        load_splits(data(tmp_path, train="val+mine"), None, validate=False, run_dir=tmp_path)


def test_fewer_are_set_aside_and_counted_but_are_no_bad_records(tmp_path):
    """One of 50 is 0.02: none is bad, whatever `max_bad_share` says, and none is trained on."""
    manifest(tmp_path, "mine", 50, 1), manifest(tmp_path, "val", 3, 0)
    few = data(tmp_path, train="mine", max_test_share=0.02, max_bad_share=0.0)
    train, val = load_splits(few, None, validate=True, run_dir=tmp_path)
    assert len(train.samples) == 49 and len(val.samples) == 3
    assert train.quarantine.counts == {"known_test": 1}
    row = json.loads((tmp_path / "quarantine.jsonl").read_text())
    assert (row["id"], row["reason"]) == ("mine49", "known_test") and "one of mmau" in row["detail"]
    train.quarantine.add("other", "missing", "It is not there.", "x.wav")
    with pytest.raises(ValueError, match=r"1 of 50 records are bad \(1 missing\).*'other'"):
        train.quarantine.check(50)


def test_what_is_not_learned_from_may_be_a_test(tmp_path):
    manifest(tmp_path, "mine", 5, 1)
    questions = load_questions(data(tmp_path), "mine", None, run_dir=tmp_path)
    assert len(questions.samples) == 5 and not questions.quarantine.counts


def test_a_wording_asked_of_many_recordings_is_a_template():
    """A test asks it of one recording, or of a few; an emotion corpus asks it of each."""
    few = [sample(n, ROARS) for n in range(TEMPLATE_ASSETS)] + [sample(99)]
    assert known_tests(few) == dict.fromkeys(range(TEMPLATE_ASSETS), "mmau")
    assert known_tests([*few, sample(100, ROARS)]) == {}
    copies = [sample(n, ROARS, asset_id="the same") for n in range(40)]
    assert len(known_tests(copies)) == 40


def test_an_index_keeps_what_was_found(tmp_path):
    path = manifest(tmp_path, "mine", 700, 2)
    table = open_samples(path, tmp_path, Quarantine(max_bad_share=0), above=0)
    assert isinstance(table, SampleTable)
    samples = read_manifest(path, tmp_path, Quarantine(max_bad_share=0))
    assert known_in(table) == known_tests(samples) == {698: "mmau", 699: "mmau"}
    [kept] = table.file.parent.glob("tests-*.json")
    kept.write_text(sealed('{"3": "mmar"}'))
    assert known_in(table) == {3: "mmar"}  # it was read, not found anew
    assert known_in(table, but="mmau") == {698: "mmau", 699: "mmau"}
    assert known_in(table[1:]) == {2: "mmar"} == known_in(table.take(np.array([0, 1, 3])))
    quarantine = Quarantine(max_bad_share=0)
    left = without_tests(table, path, data(tmp_path), quarantine)
    assert isinstance(left, SampleTable) and len(left) == 699 and len(quarantine) == 1


def test_a_source_is_no_address(tmp_path):
    """It would be a data set of its own for each question; it is kept as a fact."""
    path = manifest(tmp_path, "mine", 2, 0, source="https://example.org/watch?v=1")
    first, _ = read_manifest(path, tmp_path, Quarantine(max_bad_share=0))
    assert (first.source, first.facts["source_url"]) == ("mine", "https://example.org/watch?v=1")


def test_a_set_is_added_and_renewed_and_the_others_stay(tmp_path, capsys):
    file = tmp_path / "known.tsv"
    file.write_bytes(FILE.read_bytes())
    before = file.read_text().splitlines()
    main([f"mmsu={FIXTURES / 'mmsu.jsonl'}", f"zz={FIXTURES / 'omnibench.jsonl'}"], file)
    added = [line for line in file.read_text().splitlines() if line not in before]
    assert [line[:3] for line in added] == ["mms", "mms", "zz\t", "zz\t"]
    assert "mmsu: 2 questions" in capsys.readouterr().out
    once = file.read_bytes()
    main([f"mmsu={FIXTURES / 'mmsu.jsonl'}"], file)
    assert file.read_bytes() == once
    main([f"zz={FIXTURES / 'mmsu.jsonl'}", f"zz={FIXTURES / 'omnibench.jsonl'}"], file)
    assert len([name for name, _ in read_known(file) if name == "zz"]) == 4
    assert file.read_text().startswith("# Which questions are known tests")


def test_a_set_is_not_made_of_a_file_that_is_not_read(tmp_path):
    file, odd = tmp_path / "known.tsv", tmp_path / "odd.jsonl"
    file.write_bytes(FILE.read_bytes())
    odd.write_text('{"query": "Hi", "reply": "Ho"}\n')
    for wrong in (odd, FIXTURES / "audiomcq.jsonl"):
        with pytest.raises(ValueError, match=r"of no known format|2 of the 3 rows"):
            main([f"mmsu={wrong}"], file)
    for argument in ("mmsu", "=x", "a-b=x"):
        with pytest.raises(SystemExit, match="is no SET=FILE"):
            main([argument], file)
    assert file.read_bytes() == FILE.read_bytes()


def test_questions_are_looked_up_fast():
    """Some 10 seconds for the 571,118 of AudioMCQ, once; here, 2,000 in less than a second."""
    rng = np.random.default_rng(0)
    words = [bytes(rng.integers(97, 123, 6)).decode() for _ in range(500)]
    texts = [" ".join(rng.choice(words, 14)) for _ in range(2_000)]
    samples = [sample(n, f"{text}?") for n, text in enumerate(texts)]
    started = time.process_time()
    assert known_tests(samples) == {}
    assert time.process_time() - started < 1
    long = ("A. ", "[", "What? ", "A. x B. ", " ", "\n", "a\n", ": ", ",", "or ", "1) 2) ")
    for text in (part * (120_000 // len(part)) for part in long):
        started = time.process_time()
        assert known_tests([replace(samples[0], question=text, options=())]) == {}
        assert time.process_time() - started < 2
