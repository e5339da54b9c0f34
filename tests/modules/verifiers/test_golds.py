"""Golds: a file says how its answers are written, and no answer is read as it happens to fit."""

import json
import random
from pathlib import Path

import pytest

from datamodules.sources.answers.golds import Golds, decide, readings
from datamodules.sources.answers.lettering import Offered
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine

NOTES, PETS, COUNTS = ["C", "A", "B", "D"], ["cat", "dog", "owl"], ["3", "2", "1", "0"]
UNCLEAR = "?"


def offered(options: list[str]) -> Offered:
    return Offered.of(options)


def read(root: Path, *rows: tuple[list[str], object], name: str = "choices") -> list[str]:
    """The letter of each answer, or that it was set aside, in the order of the rows."""
    path = root / "train.jsonl"
    held = [
        {"id": f"q{number}", "question": "Which?", name: options, "answer": answer}
        for number, (options, answer) in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in held))
    found = {one.id: one.answer for one in read_manifest(path, root, Quarantine(max_bad_share=1))}
    return [found.get(str(row["id"]), UNCLEAR) for row in held]


@pytest.mark.parametrize(
    ("rows", "letters"),
    [
        ([(NOTES, "C"), (PETS, "B")], "CB"),  # all are letters
        ([(NOTES, "C"), (NOTES, "D"), (["G", "A#", "E"], "A#")], "ADB"),  # all are texts
        ([(NOTES, "C"), (PETS, "B"), (["x", "y"], "D")], "CB?"),  # a slip, which fits nothing
        ([(NOTES, "C"), (PETS, "B"), (PETS, "dog")], "?BB"),  # mixed
        ([(NOTES, "C")], "?"),  # either
        ([(["A", "B", "C"], "C")], "C"),  # both
        ([(PETS, 0), (PETS, 2)], "AC"),  # from 0
        ([(PETS, 1), (PETS, 3)], "AC"),  # from 1
        ([(PETS, 1), (PETS, 2)], "??"),  # from either
        ([(PETS, 0), (PETS, 3)], "??"),  # from neither
        ([(COUNTS, 1), (PETS, 0)], "BA"),  # numbers of options that are numbers
        ([(COUNTS, 1), (["7", "8", "9"], 8)], "CB"),  # options that are numbers themselves
        ([(COUNTS, 1)], "?"),
        ([(COUNTS, 1), (PETS, 0), (PETS, "dog")], "?AB"),
        ([(["1", "2", "3"], 2), (PETS, "B"), (PETS, "C")], "BBC"),  # nothing else is counted
        ([(["1. cat", "2. dog"], 2), (["1. owl", "2. bat"], 1)], "BA"),  # numbers stand there
        ([(PETS, "Dog"), (NOTES, "C"), (["re", "RE"], "rE")], "BA?"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_whole_file_decides_whatever_the_order_of_its_rows(tmp_path, rows, letters, seed):
    order = random.Random(seed).sample(range(len(rows)), k=len(rows))
    assert read(tmp_path, *[rows[at] for at in order]) == [letters[at] for at in order]


def test_letters_that_stand_before_options_are_what_lone_letters_mean(tmp_path):
    """The options are c, a, t; `A` is the first of them, though the second reads so."""
    lettered = ["A. c", "B. a", "C. t"]
    assert read(tmp_path, (lettered, "<answer>A</answer>")) == ["A"]
    assert read(tmp_path, (["A. B", "B. A"], "A"), (PETS, "dog")) == ["A", "B"]
    assert read(tmp_path, (["a) x", "b) y"], "b")) == ["B"]
    assert read(tmp_path, (["A Kitchen", "B Bath"], "B Bath")) == ["B"]


def test_our_own_manifests_name_options_by_text_or_letter_and_never_by_number(tmp_path):
    assert read(tmp_path, (["B", "A"], "A"), (PETS, "B"), name="options") == ["A", "B"]
    assert read(tmp_path, (["B", "A"], "A"), (["B", "C#"], "C#"), name="options") == ["B", "B"]
    assert read(tmp_path, (COUNTS, "1"), name="options") == ["C"]


def test_our_own_manifests_mean_the_text_where_the_file_does_not_say(tmp_path):
    """As their definition has it; whoever else writes so is asked to say."""
    assert read(tmp_path, (["B", "A"], "A"), name="options") == ["B"]
    assert read(tmp_path, (["B", "A"], "A"), name="choices") == [UNCLEAR]
    mixed = ((["B", "A"], "A"), (PETS, "dog"), (PETS, "C"))
    assert read(tmp_path, *mixed, name="options") == ["B", "B", "C"]


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        *[("B", 1), ("(B)", 1), ("B)", 1), ("B.", 1), ("B: dog", 1), ("B. DOG", 1)],
        *[("option B", 1), ("Answer: C", 2), ("The correct answer is C", 2), ("[A]", 0)],
        *[("Ｂ", 1), ("Ｂ．dog", 1), ("（Ｂ）", 1), ("Ｂ．cat", None)],
        *[("B. cat", None), ("D", None), ("b", None), ("bird", None), ("do g", None)],
    ],
)
def test_an_answer_is_read_as_people_write_it(answer, index):
    found = readings(answer, offered(PETS), ("text", "letter"))
    assert {*found.values()} == (set() if index is None else {index})


def test_an_exact_text_is_not_taken_for_a_letter_with_words_around_it():
    found = readings("Option B", offered(["Option B", "Option A"]))
    assert found == {"text": 0}


def test_near_texts_count_if_only_one_option_is_near():
    assert readings("re", offered(["RE", "Re", "la"])) == {}
    assert readings("LA", offered(["RE", "Re", "la"])) == {"text": 2}
    assert readings("cafe\u0301", offered(["tea", "caf\u00e9"])) == {"text": 1}
    assert readings("A DOG", offered(["a dog", "a cat", "a dog"])) == {"text": 0}


def test_the_ways_of_a_file_are_those_that_fit_all_its_answers():
    letters, texts = {"letter": 0, "text": 1}, {"text": 2}
    assert decide([letters, {}]) == {"letter", "text"}
    assert decide([letters, texts]) == {"text"}
    assert decide([{"from_0": 1, "from_1": 0}, {"from_1": 2}]) == {"from_1"}
    assert decide([{"letter": 1}, texts, {"from_0": 0}]) == {"letter", "text", "from_0"}
    assert decide([{"letter": 1}, texts, {"from_0": 0}, {"from_1": 1}]) == {"letter", "text"}


def test_a_file_is_looked_through_once_and_only_if_an_answer_is_unclear():
    looked = []

    def survey() -> list[dict[str, int]]:
        looked.append(1)
        return [{"letter": 0}]

    golds = Golds(survey)
    assert golds.find("B", offered(PETS)) == 1
    assert not looked
    assert [golds.find("A", offered(NOTES)) for _ in range(2)] == [0, 0]
    assert looked == [1]


def test_an_index_and_a_part_of_a_file_decide_as_the_whole_file_does(tmp_path):
    rows = [
        {"id": f"q{number}", "question": "?", "options": NOTES, "answer": "ABCD"[number % 4]}
        for number in range(50)
    ]
    rows.append({"id": "last", "question": "?", "options": PETS, "answer": "B"})
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plain = read_manifest(path, tmp_path, Quarantine(max_bad_share=0))
    indexed = open_samples(path, tmp_path, Quarantine(max_bad_share=0), above=0)
    assert [one.answer for one in plain] == [one.answer for one in indexed]
    assert [one.answer for one in plain[:4]] == ["A", "B", "C", "D"]


def test_letters_out_of_order_leave_it_open_which_option_a_letter_names():
    for options in (["B. dog", "A. cat"], ["B. dog", "C. cat"], ["A. dog", "A. cat"]):
        assert readings(options[0][0], offered(options)) == {}
        assert readings(options[0], offered(options)) == {"text": 0}
    assert readings("B", offered(["C:maj", "A:min", "B:min"])) == {"letter": 1}
    assert readings("A", offered(["C. elegans", "D. rerio"])) == {"letter": 0}


def test_numbers_are_texts_however_a_table_writes_them(tmp_path):
    assert readings("1", offered(["0.5", "1.0"])) == {"text": 1, "from_0": 1, "from_1": 0}
    assert readings("20.0", offered(["10", "20"])) == {"text": 1}
    assert readings("1", offered(["1.0", "1.00"])) == {"from_0": 1, "from_1": 0}
    assert read(tmp_path, ([0.5, 1.0], 1), ([4, 5.5], 4)) == ["B", "A"]
    assert read(tmp_path, (PETS, 1.0), (PETS, 0.0)) == ["B", "A"]
    truths = ["True", "False"]
    assert read(tmp_path, (truths, True), (truths, False)) == ["A", "B"]


def test_a_number_with_nothing_behind_its_point_counts_as_one_without(tmp_path):
    """A column that has gaps becomes one of floats, of which a table keeps the points: the third
    of some numbers is not the one that is 2."""
    rows = ((PETS, "0.0"), (PETS, "2.0"), (["4", "2", "3"], "2.0"))
    assert read(tmp_path, *rows) == ["A", "C", "C"]


@pytest.mark.parametrize("mark", ["{}:{}", "{}.{}", "[{}] {}", "{}、{}", "{} - {}", "({}) {}"])
def test_a_number_that_is_printed_before_an_option_names_it(mark):
    pets = [mark.format(number, pet) for number, pet in enumerate(PETS, start=1)]
    assert readings("2", offered(pets)) == {"from_1": 1}
    assert readings("2", offered([mark.format(n, pet) for n, pet in enumerate(PETS)])) == {
        "from_0": 2
    }
    for numbers in ((2, 3, 4), (3, 2, 1), (1, 3, 4)):
        odd = [mark.format(number, pet) for number, pet in zip(numbers, PETS, strict=True)]
        assert readings("2", offered(odd)) == {}


def test_sizes_and_ratios_are_no_printed_numbers():
    assert readings("1", offered(["1.5 kg", "2.5 kg"])) == {"from_0": 1, "from_1": 0}
    assert readings("1", offered(["1:30", "2:30"])) == {"from_0": 1, "from_1": 0}


@pytest.mark.parametrize(
    "options",
    [
        ["Option B: dog", "Option A: cat"],
        ["B.dog", "C.cat"],
        ["A．x", "B．y", "D．z"],
        ["[B]dog", "[A]cat"],
        ["choice B. dog", "choice C. cat"],
    ],
)
def test_letters_out_of_order_count_however_they_are_set_off(options):
    letter = next(mark for mark in options[-1] if mark in "ABCDEFG")
    assert readings(letter, offered(options)) == {}
