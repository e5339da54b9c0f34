"""Answers that are kept: nothing is asked twice, and what could not be asked is not hidden."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from configs.load import load_config
from configs.schema import Config
from datamodules.sample import Media
from datamodules.sources.index.manifest_index import INDEXED_BYTES
from evaluation.benchmarking.answers import (
    Answer,
    AnswerKey,
    append_answers,
    new_file,
    read_answers,
)
from evaluation.benchmarking.datasets import media_shown, orders_of
from evaluation.benchmarking.stage import benchmark
from modules.verifiers.verify import NOTHING
from tests.conftest import make_sample

ASKED = AnswerKey(content_hash="5f", id="q", condition="no_audio", how="silent", order=2)


@pytest.fixture
def small(root: Path, tmp_path: Path) -> Path:
    """Five choices: two about a picture and a sound, one about each alone, and one about nothing;
    with their media and without that is nine prompts."""
    place = tmp_path / "data"
    place.mkdir()
    lines = (root / "test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    kinds = (("image", "audio"), ("image", "audio"), ("image",), ("audio",), ())
    chosen: list[dict] = []  # type: ignore[type-arg]
    for kind in kinds:
        chosen += [
            next(
                row
                for row in rows
                if row not in chosen
                and row.get("options")
                and tuple(item["modality"] for item in row.get("media", ())) == kind
            )
        ]
    write(place, chosen)
    for row in chosen:
        for item in row.get("media", ()):
            (place / item["path"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / item["path"], place / item["path"])
    return place


def write(place: Path, rows: Sequence[dict], name: str = "test") -> None:  # type: ignore[type-arg]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (place / f"{name}.jsonl").write_text(text)


def rows_of(place: Path, name: str = "test") -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in (place / f"{name}.jsonl").read_text().splitlines()]


def config(place: Path, name: str, *words: str) -> Config:
    common = [f"data.root={place}", f"run.root={place / 'runs'}", f"run.name={name}"]
    fixed = ["stage=benchmark", "data=manifest", "data.max_bad_share=0.5"]
    fixed += ["benchmark.max_completion_tokens=12"]
    return load_config([*fixed, *common, *words], ("benchmark",))


def answers_in(place: Path) -> list[str]:
    return [
        line
        for file in (place / "answers").glob("*/*.jsonl")
        for line in file.read_text().splitlines()
    ]


def results_of(place: Path, name: str) -> dict:  # type: ignore[type-arg]
    return json.loads((place / "runs" / name / "results.json").read_text())


def test_a_baseline_is_not_asked_twice(small):
    first = benchmark(config(small, "a"))
    assert len(answers_in(small)) == 9
    again = benchmark(config(small, "b", "benchmark.checkpoints=[assets/tiny]"))
    assert len(answers_in(small)) == 9
    assert first.splitlines()[-1] != again.splitlines()[-1]
    rows = [(small / "runs" / name / "tiny.jsonl").read_text() for name in "ab"]
    assert rows[0] == rows[1]


def test_only_missing_rows_are_asked(small):
    """Of nine answers three are lost, and one is torn."""
    benchmark(config(small, "a"))
    [file] = (small / "answers").glob("*/*.jsonl")
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:5]) + lines[5][:40])
    benchmark(config(small, "b"))
    assert len(answers_in(small)) == 6 + 4
    rows = [(small / "runs" / name / "tiny.jsonl").read_text() for name in "ab"]
    assert rows[0] == rows[1]


def test_shares_fill_the_cache_together_and_the_last_makes_the_table(small):
    told = benchmark(config(small, "a", "benchmark.shard=2/2"))
    lacking = 9 - len(answers_in(small))
    assert 0 < lacking < 9
    assert f"{lacking} of 9 answers are still missing" in told
    assert "benchmark.shard=1/1" in told
    assert not (small / "runs" / "a" / "results.json").exists()
    assert "all questions" in benchmark(config(small, "b", "benchmark.shard=1/2"))
    assert len(answers_in(small)) == 9
    assert "all questions" in benchmark(config(small, "a", "benchmark.shard=2/2"))


def test_rows_say_what_was_shown_said_and_made_of_it(small):
    benchmark(config(small, "a", "benchmark.conditions=[full,no_visual:silent]"))
    rows = rows_of(small / "runs" / "a", "tiny")
    assert len(rows) == 10
    assert {row["condition"] for row in rows} == {"full", "no_visual"}
    for row in rows:
        assert row["question"] in row["prompt"]
        assert row["set"] == "test" and row["order"] == 0 and not row["missing"]
        assert row["official"] is None
        assert {"completion", "extracted", "rule", "correct", "gold", "asset_id"} <= {*row}
    full = [row for row in rows if row["condition"] == "full"]
    shown = [[item["path"] for item in row.get("media", [])] for row in rows_of(small)]
    assert [row["media"] for row in full] == shown
    assert max(
        row["prompt"].count("<|IMAGE|>") + row["prompt"].count("<|AUDIO|>") for row in full
    ) == max(map(len, shown))


def test_questions_that_cannot_be_shown_are_wrong_and_missing(small):
    """One of five is damaged, and one more row is no question: n counts all six."""
    damaged = rows_of(small)[0]["media"][0]["path"]
    (small / damaged).write_bytes(b"no picture, no sound")
    with (small / "test.jsonl").open("a") as file:
        file.write('{"id": "no question"}\n')
    told = benchmark(config(small, "a"))
    [line] = results_of(small, "a")["lines"]
    assert (line["score"]["n"], line["missing"]) == (6, pytest.approx(2 / 6))
    first = rows_of(small / "runs" / "a", "tiny")[0]
    assert first["missing"] and not first["correct"] and first["completion"] is None
    assert "unparsed  missing" in told


def test_a_question_that_is_mended_is_asked(small):
    row = rows_of(small)[0]
    path = small / row["media"][0]["path"]
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    benchmark(config(small, "a"))
    path.write_bytes(whole)
    benchmark(config(small, "b"))
    assert results_of(small, "b")["lines"][0]["missing"] == 0


def test_a_question_that_is_put_in_other_words_is_asked_again(small):
    """A type of answer is no part of the content hash, but says what is asked for."""
    row = {"id": "sign", "question": "What is written?", "answer": "Exit", "answer_type": "text"}
    prompts = []
    for kind in ("text", "ocr"):
        write(small, [row | {"answer_type": kind}])
        benchmark(config(small, kind, "benchmark.conditions=[full]"))
        prompts += [rows_of(small / "runs" / kind, "tiny")[0]["prompt"]]
    assert prompts[0] != prompts[1]


def test_other_assets_make_other_mismatches(small):
    """Whose media may stand in is told by assets: three questions have a sound, one of them its
    own asset now."""
    words = "benchmark.conditions=[full,no_audio:mismatched]"
    benchmark(config(small, "a", words))
    assert len(answers_in(small)) == 5 + 3
    rows = rows_of(small)
    write(small, [rows[0] | {"asset_id": "another"}, *rows[1:]])
    benchmark(config(small, "b", words))
    assert len(answers_in(small)) == 5 + 3 + 3


@pytest.mark.parametrize(("limit", "n", "missing"), [(4, 4, 0), (6, 6, 1), (9, 7, 2)])
def test_a_limit_counts_rows_that_are_no_question_behind_the_others(small, limit, n, missing):
    """Five questions, and two rows that are none."""
    with (small / "test.jsonl").open("a") as file:
        file.write('{"id": "no question"}\n' * 2)
    benchmark(config(small, "a", f"benchmark.limit={limit}", "benchmark.conditions=[full]"))
    [line] = results_of(small, "a")["lines"]
    assert (line["score"]["n"], line["missing"]) == (n, pytest.approx(missing / n))


def test_descriptions_have_no_official_score_even_where_one_is_missing(small):
    rows = [row | {"source": "omnibench"} for row in rows_of(small)]
    write(small, rows)
    (small / rows[0]["media"][0]["path"]).write_bytes(b"damaged")
    words = ("benchmark.grade_by=description", "benchmark.conditions=[full]")
    told = benchmark(config(small, "a", *words))
    assert results_of(small, "a")["lines"][0]["official"] is None
    assert "official" not in told


def test_media_that_changed_since_they_were_indexed_are_not_scored_by_old_answers(small):
    """A manifest of so many bytes is read once, and the hashes of its media with it."""
    rows = rows_of(small)
    with (small / "test.jsonl").open("a") as file:
        file.write((" " * 2**20 + "\n") * (INDEXED_BYTES // 2**20 + 1))
    benchmark(config(small, "a", "benchmark.conditions=[full]"))
    first, second = (small / rows[n]["media"][0]["path"] for n in (0, 1))
    first.write_bytes(second.read_bytes() + b"...")
    benchmark(config(small, "b", "benchmark.conditions=[full]"))
    assert results_of(small, "a")["lines"][0]["missing"] == 0
    assert results_of(small, "b")["lines"][0]["missing"] == pytest.approx(1 / 5)
    assert "changed" in (small / "runs/b/quarantine.jsonl").read_text()


def test_every_order_of_the_options_is_asked_once(small):
    """With as many orders as options, each question's answer stands at each place once."""
    told = benchmark(
        config(small, "a", "benchmark.option_permutations=0", "benchmark.conditions=[full]")
    )
    rows = rows_of(small / "runs" / "a", "tiny")
    by_id: dict[str, list[dict]] = {}  # type: ignore[type-arg]
    for row in rows:
        by_id.setdefault(row["id"], []).append(row)
    choices = [own for own in by_id.values() if len(own) > 1]
    assert choices
    for own in choices:
        options = own[0]["options"]
        assert len({row["option_order"] for row in own}) == len(own) == len(options)
        assert len({row["gold"] for row in own}) == len(own)
        assert all(sorted(row["options"]) == sorted(options) for row in own)
    [line] = results_of(small, "a")["lines"]
    scores = [sum(row["correct"] for row in own) / len(own) for own in by_id.values()]
    assert line["score"]["mean"] == pytest.approx(sum(scores) / 5)
    assert line["all_orders"] == pytest.approx(sum(score == 1 for score in scores) / 5)
    assert "all orders" in told


def test_grounding_is_measured_where_its_conditions_are_asked(small):
    conditions = (
        "full,no_audio:silent,no_audio:mismatched,no_visual:mismatched,text_only:mismatched"
    )
    told = benchmark(config(small, "a", f"benchmark.conditions=[{conditions}]"))
    measures = {row["measure"] for row in results_of(small, "a")["groundings"]}
    assert {"audio score S", "shortcut index"} <= measures
    assert "full - shown less" in told and "audio score S" in told


def test_several_sets_have_a_mean_and_a_table_each(small):
    write(small, rows_of(small)[:2], "other")
    told = benchmark(config(small, "a", "benchmark.sets=[test,other]"))
    [mean] = results_of(small, "a")["means"]
    lines = results_of(small, "a")["lines"]
    assert mean["macro"]["mean"] == pytest.approx(sum(each["score"]["mean"] for each in lines) / 2)
    assert mean["weighted"]["n"] == 7
    assert "macro mean" in told and "weighted mean" in told
    assert len(answers_in(small)) == 9  # the same questions are the same in another set


def test_a_set_without_questions_is_refused(small):
    (small / "test.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"test holds no question.*leave it out of benchmark.sets"):
        benchmark(config(small, "a"))


def test_groups_are_those_that_the_publisher_names(small):
    rows = rows_of(small)
    for number, row in enumerate(rows):
        row["facts"] = {"task": "music" if number < 2 else "speech"}
    write(small, rows)
    benchmark(config(small, "a", "benchmark.group_by=task"))
    groups = [
        (row["questions"], row["scores"]["tiny"]["n"]) for row in results_of(small, "a")["rows"]
    ]
    assert groups == [("all questions", 5), ("music", 2), ("speech", 3)]


def test_the_first_answer_stands_and_a_failure_gives_way(tmp_path):
    said = Answer(prompt="?", completion="A", reader_verdict=None)
    failed = Answer(prompt="", completion=None)
    append_answers(new_file(tmp_path), {ASKED: failed})
    append_answers(new_file(tmp_path), {ASKED: said})
    append_answers(new_file(tmp_path), {ASKED: Answer(prompt="?", completion="B")})
    assert read_answers(tmp_path) == {ASKED: said}


def test_what_a_reader_made_of_a_description_is_kept(tmp_path):
    told = Answer(prompt="?", completion="It barks.", reader_verdict=NOTHING)
    append_answers(new_file(tmp_path), {ASKED: told})
    assert read_answers(tmp_path) == {ASKED: told}


def test_a_damaged_line_is_named(tmp_path):
    file = new_file(tmp_path)
    for damaged in ('{"prompt": ""}', '"prompt"', '{"prompt": "", "said": "", "read": {"of": 1}}'):
        file.write_text(f"{damaged}\n")
        with pytest.raises(ValueError, match=r"jsonl:1 is damaged.*delete the line"):
            read_answers(tmp_path)


def test_orders_that_look_alike_are_asked_once():
    """Three options turn three ways; open questions, and options that name places, do not."""
    sample = make_sample()
    assert orders_of(sample, 0) == (0, 1, 2)
    assert orders_of(sample, 2) == (0, 1)
    assert orders_of(sample, 1) == (0,)
    assert len(orders_of(sample, 40)) <= 6
    places = type(sample)(**{**vars(sample), "options": ("3", "8", "none of the above")})
    assert orders_of(places, 0) == (0,)


def test_media_are_listed_in_the_order_in_which_they_are_shown():
    """Context stands before options; what is withheld altogether is not shown."""
    media = (
        Media(modality="audio", path="b", role="option"),
        Media(modality="video", path="film"),
        Media(modality="image", path="picture"),
    )
    sample = type(make_sample())(**{**vars(make_sample()), "media": media})
    assert media_shown(sample, "full", "absent") == ["film", "picture", "b"]
    assert media_shown(sample, "no_audio", "absent") == ["film", "picture"]
    assert media_shown(sample, "no_audio", "silent") == ["film", "picture", "b"]
    assert media_shown(sample, "text_only", "absent") == []
    assert media_shown(sample, "no_audio", "described") == ["film", "picture"]
