"""Lists in cells of tables: whoever printed them, each text stays one, and none becomes another."""

import json

import numpy as np
import pytest

from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import listed, offered

TEXTS = [
    ["A cat", "a dog's tail", 'he said "no"', 'it\'s "x"'],
    ["[a]", "b] [c", "d, e", "\\n"],
    ["x" * 60, "y" * 60, "z, and" * 20],
    ["line\nbreak", "tab\tbed", "é – ü"],
    ["one"],
    ["2", "10", "3.5"],
]


@pytest.mark.parametrize("texts", TEXTS, ids=str)
def test_a_list_is_the_same_however_it_was_written(texts):
    array = np.array(texts, dtype=object)
    for written in (json.dumps(texts), json.dumps(texts, ensure_ascii=False), str(texts)):
        assert listed(written) == texts
        assert listed(f" {written}\n") == texts
    assert listed(str(array)) == texts
    assert listed(str(np.array(texts))) == texts


@pytest.mark.parametrize("cell", ["['a' 'b', 'c']", "['a', 'b' 'c']", "['a''b', 'c']"])
def test_a_list_from_which_a_comma_is_missing_is_no_list(cell):
    """Python would read two options as one."""
    with pytest.raises(RowError, match="no list"):
        listed(cell)


def test_options_that_pandas_wrote_have_their_letters_taken_off():
    cell = str(np.array(["A. 2.", "B. 5.", "C. it's 4."], dtype=object))
    assert [*offered(cell).texts] == ["2.", "5.", "it's 4."]


@pytest.mark.parametrize("cell", ["[1 2 3]", "['a' 1]", "['a' b]", "['a'", "[" * 1000])
def test_what_is_no_list_of_texts_is_none(cell):
    with pytest.raises(RowError):
        listed(cell)
