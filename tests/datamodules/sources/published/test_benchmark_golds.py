"""Gold answers of published sets: by each set's definition, though texts and letters disagree."""

import json
from pathlib import Path

import pytest

from tests.datamodules.sources.published.conftest import changed, load, name_of
from tests.format_media import FIXTURES, with_media

LETTERS = ["A. c", "B. a", "C. t"]
"""Options with letters, of which the letter A is the first and the text "a" the second."""

BARE = ["B", "C", "A"]
"""Options without letters, of which the letter A is the first and the text "A" the third."""


def columned(options: list[str]) -> dict[str, str]:
    return dict(zip(("choice_a", "choice_b", "choice_c"), options, strict=True)) | {"choice_d": ""}


def named(options: list[str]) -> dict[str, str]:
    return dict(zip("ABC", options, strict=True))


ASKED = {  # excerpt: the fields of its options, and that of its answer
    "mmau.json": lambda options, gold: {"choices": options, "answer": gold},
    "mmau_copy.jsonl": lambda options, gold: {"choices": json.dumps(options), "answer": gold},
    "mmar.jsonl": lambda options, gold: {"choices": options, "answer": gold},
    "mmsu.jsonl": lambda options, gold: columned(options) | {"answer_gt": gold},
    "omnibench.jsonl": lambda options, gold: {"options": options, "answer": gold},
    "daily_omni.json": lambda options, gold: {"Choice": options, "Answer": gold},
    "worldsense.jsonl": lambda options, gold: {"candidates": options, "answer": gold},
    "video_mme.jsonl": lambda options, gold: {"options": options, "answer": gold},
    "video_mmmu.jsonl": lambda options, gold: {"options": options, "answer": gold},
    "mmvu.jsonl": lambda options, gold: {"choices": named(options), "answer": gold},
    "video_holmes.json": lambda options, gold: {"Options": named(options), "Answer": gold},
    "intentbench.json": lambda options, gold: {"options": options, "solution": tagged(gold)},
    "video_r1.json": lambda options, gold: {"options": options, "solution": tagged(gold)},
    "omnivideobench.json": lambda options, gold: {
        "questions": [{"question": "?", "options": options, "correct_option": gold}]
    },
    "uno_bench.jsonl": lambda options, gold: {
        "question": "<image_1> <audio_1> Which?",
        "options": options,
        "answer": gold,
    },
    "av_odyssey.jsonl": lambda options, gold: {
        "question": "[img1] [img2] [img3] [img4] [audio1]",
        "options": options,
        "answer": gold,
    },
    "audiomcq.jsonl": lambda options, gold: {"choices": options, "answer": gold},
}
TEXTS = {"mmau.json", "mmau_copy.jsonl", "mmar.jsonl", "mmsu.jsonl", "omnibench.jsonl"}
TEXTS |= {"audiomcq.jsonl"}
"""Excerpts of sets whose answers are texts; those of the others are letters."""


def tagged(gold: str) -> str:
    return f"<answer>{gold}</answer>"


@pytest.mark.parametrize("name", ASKED)
def test_a_letter_of_lettered_options_is_the_letter(name, tmp_path):
    """A is the option "c", though another one reads "a"; columns have no letters of their own."""
    options = [option[3:] for option in LETTERS] if name == "mmsu.jsonl" else LETTERS
    [sample], _ = changed(name, tmp_path, **ASKED[name](options, "A"))
    assert (sample.options, sample.answer) == (("c", "a", "t"), "A")


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize(("gold", "letter", "text"), [("A", "A", "C"), ("C", "C", "B")])
def test_options_that_read_as_letters_are_answered_as_the_set_defines(
    name, gold, letter, text, tmp_path
):
    [sample], _ = changed(name, tmp_path, **ASKED[name](BARE, gold))
    assert sample.options == tuple(BARE)
    assert sample.answer == (text if name in TEXTS else letter)


@pytest.mark.parametrize("name", ASKED)
def test_the_right_option_twice_is_asked_as_published(name, tmp_path):
    """Texts name the first of them, and letters the one they name."""
    rows = ASKED[name](["x", "y", "x"], "x" if name in TEXTS else "C")
    [sample], counts = changed(name, tmp_path, **rows)
    assert not counts
    assert (sample.options, sample.answer) == (("x", "y", "x"), "A" if name in TEXTS else "C")


@pytest.mark.parametrize("name", sorted(ASKED.keys() - TEXTS))
def test_a_letter_past_the_last_option_is_a_slip_and_no_text(name, tmp_path):
    assert changed(name, tmp_path, **ASKED[name](["D", "E", "F"], "D")) == ([], "bad_answer")


@pytest.mark.parametrize("name", ["mmau.json", "mmar.jsonl", "omnibench.jsonl", "audiomcq.jsonl"])
@pytest.mark.parametrize("gold", ["B", "B. a", "(B) a", "b"])
def test_copies_with_letters_name_letters(name, gold, tmp_path):
    [sample], _ = changed(name, tmp_path, **ASKED[name](LETTERS, gold))
    assert (sample.options, sample.answer) == (("c", "a", "t"), "B")


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (
            ["A Kitchen", "B Bathroom", "C Hall", "D Attic"],
            ("Kitchen", "Bathroom", "Hall", "Attic"),
        ),
        (["A.Horse", "B Horse", "C.Hen", "D.Hare"], ("Horse", "Horse", "Hen", "Hare")),
        (["A.x", "B.y"], ("x", "y")),
        (["A man", "B boy"], ("man", "boy")),
        (["A flat", "B sharp"], ("flat", "sharp")),
        (
            ["A.the 1st", "B.the 2nd", "C. the 3rd", "D:the 4th"],
            ("the 1st", "the 2nd", "the 3rd", "the 4th"),
        ),
        (["A man", "A boy"], ("A man", "A boy")),
    ],
)
def test_letters_of_a_set_that_has_them_are_taken_off_by_whatever_mark(options, texts, tmp_path):
    asked = ASKED["omnivideobench.json"](options, "B")
    [sample], _ = changed("omnivideobench.json", tmp_path, **asked)
    assert (sample.options, sample.answer) == (texts, "B")


@pytest.mark.parametrize(("gold", "letter"), [(0, "A"), (2, "C"), (2.0, "C"), ("1", "B")])
def test_indices_count_from_0_whatever_options_read(gold, letter, tmp_path):
    options = ["2", "1", "0", "3"]
    for name, fields in (
        ("longvideobench.json", {"candidates": options, "correct_choice": gold}),
        ("avqa.json", {"multi_choice": options, "answer": gold}),
    ):
        if not (name == "avqa.json" and isinstance(gold, str)):  # texts are texts there
            [sample], _ = changed(name, tmp_path / name, **fields)
            assert sample.answer == letter


def test_cells_that_fill_up_a_row_are_no_options_and_others_are(tmp_path):
    """An option may say that none applies; only those behind the last are without content."""
    cells = dict(
        zip([f"option{n}" for n in range(5)], ["x", "N/A", "y", "N/A", "N/A"], strict=True)
    )
    [sample], _ = changed("longvideobench_copy.jsonl", tmp_path, **cells, correct_choice=2)
    assert (sample.options, sample.answer) == (("x", "N/A", "y"), "C")


IDS = {
    "mmau.json": "id",
    "mmar.jsonl": "id",
    "mmsu.jsonl": "id",
    "omnibench.jsonl": "index",
    "worldsense.jsonl": "index",
    "av_odyssey.jsonl": "question_id",
    "video_mme.jsonl": "question_id",
    "mmvu.jsonl": "id",
    "longvideobench.json": "id",
    "intentbench.json": "problem_id",
    "uno_bench.jsonl": "qid",
    "cg_av_counting.json": "index",
}


@pytest.mark.parametrize("name", IDS)
def test_ids_may_be_numbers(name, tmp_path):
    for given in (76, 76.0, "76"):
        [sample], _ = changed(name, tmp_path, **{IDS[name]: given})
        assert sample.id == f"{name_of(Path(name))}-76"


@pytest.mark.parametrize("name", ["audiomcq.jsonl", "avqa.json", "video_r1.json"])
def test_ids_of_training_sets_may_be_numbers(name, tmp_path):
    field = "problem_id" if name == "video_r1.json" else "id"
    ids = {changed(name, tmp_path, **{field: given})[0][0].id for given in (76, 76.0, "76")}
    assert ids == {"Clotho/76" if name == "audiomcq.jsonl" else "76"}


def test_reasoning_that_ends_in_another_answer_is_not_imitated(tmp_path):
    thought = "It drips. <answer>Snow</answer>"
    assert changed("audiomcq.jsonl", tmp_path, gemini_cot=thought) == ([], "bad_answer")
    right, wrong = "<think>So.</think><answer>C</answer>", "<think>So.</think><answer>B</answer>"
    [sample], _ = changed("video_r1.json", tmp_path, process=right)
    assert sample.completion == right
    assert changed("video_r1.json", tmp_path, process=wrong) == ([], "bad_answer")


def test_a_letter_without_options_is_no_text(tmp_path):
    fields = {"question": "<image_1> <audio_1> Which is it?", "answer": "B"}
    assert changed("uno_bench.jsonl", tmp_path, **fields) == ([], "bad_options")


def test_sounds_out_of_one_recording_are_one_cluster(tmp_path):
    rows = [json.loads(line) for line in (FIXTURES / "mmar.jsonl").read_text().splitlines()]
    manifest = with_media(FIXTURES / "mmar.jsonl", tmp_path)
    manifest.write_text("".join(json.dumps(row | {"url": "u"}) + "\n" for row in rows))
    samples, _ = load(manifest, tmp_path)
    assert {one.asset_id for one in samples} == {"u"}
    assert len({one.media[0].path for one in samples}) == 2


@pytest.mark.parametrize(
    ("kind", "answer_type"),
    [("Multiple-Choice", "choice"), ("multiple_choice", "choice"), ("free form", "text")],
)
def test_kinds_of_problems_are_known_however_they_are_spelled(kind, answer_type, tmp_path):
    [sample], _ = changed("video_r1.json", tmp_path, problem_type=kind)
    assert sample.answer_type == answer_type
