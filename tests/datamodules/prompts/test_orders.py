from itertools import permutations

import pytest

from datamodules.prompts.orders import option_order, reorder, speaks_of_places
from datamodules.sample import Media, Sample
from tests.conftest import make_sample


def make(options: tuple[str, ...], answer: str, **fields: object) -> Sample:
    return make_sample(options=options, answer=answer, **fields)


FIVE = make(("ant", "bee", "cow", "dog", "eel"), "B")


def test_the_first_order_is_as_written():
    assert reorder(FIVE, 0) is FIVE
    assert option_order(FIVE, 0) == (0, 1, 2, 3, 4)


def test_the_next_orders_turn():
    """Turned by two places, the bee is last but one: cow dog eel ant BEE."""
    turned = reorder(FIVE, 2)
    assert turned.options == ("cow", "dog", "eel", "ant", "bee")
    assert (turned.answer, option_order(FIVE, 2)) == ("E", (2, 3, 4, 0, 1))


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_each_option_stands_at_each_place_once_in_as_many_orders_as_options(count):
    sample = make(tuple(f"option {'klmnopqrst'[i]}" for i in range(count)), "B")
    orders = [option_order(sample, seed) for seed in range(count)]
    for place in range(count):
        assert sorted(order[place] for order in orders) == list(range(count))


@pytest.mark.parametrize("seed", [1, 4, 5, 6, 99])
def test_answers_follow_their_options(seed):
    turned = reorder(FIVE, seed)
    assert sorted(turned.options) == sorted(FIVE.options)
    assert turned.options[turned.letters.index(turned.answer)] == "bee"
    order = option_order(FIVE, seed)
    assert turned.options == tuple(FIVE.options[option] for option in order)
    assert (turned.id, turned.content_hash) == (FIVE.id, FIVE.content_hash)


def test_later_orders_are_drawn_by_content_and_seed():
    """Of the six orders of three options all come up; another question has others."""
    three = make(("ant", "bee", "cow"), "C")
    other = make(("ant", "bee", "cow"), "C", content_hash="1" * 32, id="b")
    same = make(("ant", "bee", "cow"), "C", id="b")
    drawn = [option_order(three, seed) for seed in range(3, 63)]
    assert {*drawn} == {*permutations(range(3))}
    assert drawn == [option_order(same, seed) for seed in range(3, 63)]
    assert drawn != [option_order(other, seed) for seed in range(3, 63)]


def test_media_that_are_options_turn_along_and_others_stay():
    def clip(path: str, role: str) -> Media:
        return Media(modality="audio", path=path, role=role)

    media = (clip("k", "option"), clip("x", "context"), clip("l", "option"), clip("m", "option"))
    turned = reorder(make(("kite", "lamp", "moon"), "A", media=media), 1)
    assert turned.options == ("lamp", "moon", "kite")
    assert [item.path for item in turned.media] == ["l", "x", "m", "k"]
    assert turned.answer == "C"


def test_a_completion_names_the_letters_as_written_and_is_left_out_of_other_orders():
    told = make(("ant", "bee"), "B", completion="A bee. <answer>B</answer>")
    assert reorder(told, 0).completion == "A bee. <answer>B</answer>"
    assert reorder(told, 1).completion == ""


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_what_is_no_choice_keeps_its_order(seed):
    open_one = make((), "3", answer_type="number")
    several = make(("ant", "bee", "cow"), "A, C", answer_type="set")
    assert reorder(open_one, seed) is open_one
    assert reorder(several, seed) is several
    assert option_order(several, seed) == (0, 1, 2)


PLACES = [
    "Both A and B",
    "both a and b",
    "A and C",
    "A or B only",
    "A, B and D",
    "A, C",
    "B/D",
    "(a) and (c)",
    "(A) and (B)",
    "Neither B nor C",
    "Only A",
    "All of the above",
    "all the above",
    "None of the above.",
    "none of the above options",
    "Any of the above",
    "Some above",
    "The answers above",
    "the first two options",
    "The previous option",
    "Same as option C",
    "option 2",
    "Answer A is right",
]


@pytest.mark.parametrize("option", PLACES)
def test_options_that_speak_of_places_stay_where_they_are(option):
    sample = make(("ant", "bee", option), "C")
    assert speaks_of_places(sample.options)
    assert [option_order(sample, seed) for seed in (1, 2, 50)] == [(0, 1, 2)] * 3
    assert reorder(sample, 1) is sample


@pytest.mark.parametrize(
    "option",
    [
        "A",
        "A cat and a dog",
        "Both a cat and a bird",
        "Either a train or a bus",
        "Only a whisper",
        "Vitamin A and iron",
        "It comes from above",
        "The bird is above the door",
        "Above",
        "None of these",
        "All of them",
        "Not enough information",
        "He answers a question",
        "The first one",
        "The last speaker",
        "I and my brother",
        "B-flat and E-flat",
        "A/C unit",
        "3, 8",
        "AB",
    ],
)
def test_other_options_may_move(option):
    assert not speaks_of_places(("ant", option))
