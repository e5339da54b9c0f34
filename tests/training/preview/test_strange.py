"""Which questions are strange, and why; and percentiles."""

from training.preview.counts import Entry
from training.preview.strange import find_strange, quantiles


def entry(name: str, *, media: int = 1, characters: int = 20, kind: str = "image") -> Entry:
    return Entry(id=name, kind=kind, answer_type="choice", media=media, characters=characters)


def test_each_measure_names_its_largest_in_turn_with_the_median():
    """Place 3 is longest in tokens, 2 has most media and most characters."""
    entries = {place: entry(str(place)) for place in range(4)}
    entries[2] = entry("2", media=4, characters=90)
    sizes = {0: {"prompt tokens": 30.0}, 1: {"prompt tokens": 40.0}, 3: {"prompt tokens": 1234.0}}
    assert find_strange(entries, sizes, 5) == {
        3: ["1,234 prompt tokens (median 40)"],
        2: ["4 media (median 1)", "90 characters (median 20)"],
    }


def test_a_measure_goes_on_with_its_second_largest_until_there_are_enough():
    entries = {place: entry(str(place), characters=10 + place) for place in range(9)}
    assert [*find_strange(entries, {}, 3)] == [8, 7, 6]


def test_a_rare_kind_is_strange_and_a_frequent_one_is_not():
    """One of twelve is below a tenth."""
    entries = {place: entry(str(place)) for place in range(12)}
    entries[5] = entry("5", kind="audio+video")
    assert find_strange(entries, {}, 4) == {5: ["kind of media audio+video, of 1 in 12"]}


def test_what_is_rare_comes_before_what_is_long():
    """Of two that are shown, the rare kind is one, however many measures there are."""
    entries = {place: entry(str(place), characters=10 + place) for place in range(12)}
    entries[5] = entry("5", kind="audio+video")
    sizes = {place: {"prompt tokens": float(place), "frames": 12.0 - place} for place in entries}
    assert [*find_strange(entries, sizes, 2)] == [5, 11]


def test_where_all_are_alike_none_is_strange():
    assert find_strange({0: entry("0"), 1: entry("1")}, {0: {"media tokens": 4.0}}, 5) == {}
    assert find_strange({}, {}, 5) == {}


def test_percentiles_are_values():
    """Of 1 to 40 in order, place ceil(0.95 * 40) = 38; of three, the third."""
    assert quantiles([*range(40, 0, -1)]) == (1, 20, 38, 40)
    assert quantiles([7.0, 2.0, 5.0]) == (2.0, 5.0, 7.0, 7.0)
    assert quantiles([3.0]) == (3.0, 3.0, 3.0, 3.0)
