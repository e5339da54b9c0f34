"""Chats: who says what becomes a question, an answer, and what is imitated."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from tests.datamodules.sources.generic.conftest import assistant, one, refused, user


def test_verl_in_parquet_with_the_picture_inside(tmp_path):
    row = {
        "data_source": "zoo",
        "prompt": [user("<image>Which?\nA. owl\nB. bat")],
        "images": [{"bytes": b"picture", "path": None}],
        "reward_model": {"style": "rule", "ground_truth": "bat"},
        "extra_info": {"split": "train", "index": 3},
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train.parquet")
    path = tmp_path / "train.parquet"
    [sample] = read_manifest(path, tmp_path, Quarantine(max_bad_share=0))
    assert (sample.options, sample.answer, sample.source) == (("owl", "bat"), "B", "zoo")
    assert (tmp_path / sample.media[0].path).read_bytes() == b"picture"


def test_a_thought_before_its_tags_is_imitated_and_a_bare_answer_is_not(tmp_path):
    asked = user("Which?\nA. owl\nB. bat")
    thought = "It hangs. <answer>B</answer>"
    assert one(tmp_path, asked, assistant(thought)).completion == thought
    for bare in ("B", "B. bat", "bat", "(B)"):
        sample = one(tmp_path, asked, assistant(bare))
        assert (sample.answer, sample.completion) == ("B", "")


def test_a_solution_is_scored_and_the_completion_still_imitated(tmp_path):
    sample = one(tmp_path, user("2 + 5?"), assistant("It is seven."), solution="7")
    assert (sample.answer_type, sample.answer) == ("number", "7")
    assert sample.completion == "It is seven."


def test_a_solution_to_what_is_asked_last_is_no_answer_to_what_came_before(tmp_path):
    turns = (user("Who?"), assistant("Ann."), user("How old?"))
    sample = one(tmp_path, *turns, solution=7)
    assert sample.question == "User: Who?\n\nAssistant: Ann.\n\nHow old?"
    assert (sample.answer, sample.completion) == ("7", "")


def test_options_that_do_not_hold_the_answer_stay_in_the_question(tmp_path):
    text = "Which?\nA. owl\nB. bat"
    sample = one(tmp_path, user(text), assistant("Neither of them."))
    assert (sample.question, sample.options, sample.answer_type) == (text, (), "text")


def test_turns_that_are_not_to_be_learned_are_not_imitated(tmp_path):
    turns = (user("Who?"), assistant("Ann."), user("Where?"), assistant("Home.", loss=False))
    assert one(tmp_path, *turns).completion == "Ann."


def test_a_chat_may_say_how_it_is_scored(tmp_path):
    turns = (user("What is x?"), assistant("It is seven."))
    sample = one(tmp_path, *turns, answer="7", answer_type="regression", tolerance=0.5, id=76.0)
    assert (sample.id, sample.answer_type, sample.tolerance) == ("76", "regression", 0.5)


@pytest.mark.parametrize(
    ("solution", "answer_type"),
    [("2 \\sqrt { 221 }", "math"), ("x^2", "math"), ("$320", "text"), ("7.5", "number")],
)
def test_algebra_is_told_from_words(tmp_path, solution, answer_type):
    assert one(tmp_path, user("What?"), solution=solution).answer_type == answer_type


@pytest.mark.parametrize(
    ("turns", "columns"),
    [
        ([user("Who?"), assistant("Ann.") | {"value": "Bo."}], {}),
        ([user("Who?"), assistant("Ann.", tool_calls=[{"function": {"name": "x"}}])], {}),
        ([user("Where is <bbox>?"), assistant("Here.")], {"objects": {"bbox": [[1, 2, 3, 4]]}}),
        ([user("Who?"), assistant("Ann.")], {"conversations": [user("Whose?")]}),
        ([user("Who?"), assistant("Ann.")], {"solution": "Ann", "answer": "Bo"}),
        ([user("Who?"), assistant("Ann.")], {"tools": "[{'name': 'x'}]"}),
    ],
)
def test_what_a_chat_says_twice_or_in_ways_that_are_not_read_sets_it_aside(
    tmp_path, turns, columns
):
    assert refused(tmp_path, *turns, **columns) in ("malformed", "unread_field")


WHICH = "Which?\nA. cat\nB. dog"


@pytest.mark.parametrize("solution", ["\\boxed{B}", "It barks: \\boxed{B}.", "<answer>B</answer>"])
def test_a_box_holds_an_answer_as_tags_do(tmp_path, solution):
    found = one(tmp_path, user(WHICH), solution=solution)
    assert (found.options, found.answer) == (("cat", "dog"), "B")
    assert one(tmp_path, user("How many?"), assistant("3 + 4 is 7.\n#### 7")).answer == "7"


def test_a_bare_answer_that_is_another_is_not_imitated(tmp_path):
    assert refused(tmp_path, user(WHICH), assistant("A"), solution="B") == "bad_answer"


def test_what_the_assistant_says_twice_is_not_half_read(tmp_path):
    assert refused(tmp_path, user("Who?"), assistant("Ann"), assistant("Bo")) == "malformed"


@pytest.mark.parametrize(
    "mark",
    [
        *({"loss": False}, {"loss": "false"}, {"weight": 0}, {"loss_weight": 0.0}),
        *({"loss_scale": 0}, {"loss_mask": 0}, {"train": 0}, {"mask": 1}),
    ],
)
def test_a_turn_of_no_weight_is_not_imitated(tmp_path, mark):
    assert refused(tmp_path, user("Who?"), assistant("Ann", **mark)) == "missing_answer"


def test_reasoning_beside_what_is_said_is_not_lost(tmp_path):
    told = assistant("Ann", reasoning_content="She said so.")
    assert refused(tmp_path, user("Who?"), told) == "unread_field"
