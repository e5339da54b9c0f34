"""Every container and codec: read where it is whole, refused where it is not, whatever its name."""

import pytest

from bench.media_cases import CASES, Case
from bench.media_matrix import COLUMNS, GOOD, outcome


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_media_are_whole_or_refused_and_good_ones_are_read(tmp_path, case: Case, column):
    assert outcome(case, column, tmp_path) in GOOD[column]


def test_every_cell_says_something_of_some_container(tmp_path):
    """So that a column of nothing but exceptions, or a table of no rows, fails."""
    assert len({case.name for case in CASES}) == len(CASES) > 60
    for column in COLUMNS:
        said = [GOOD[column][0] == outcome(case, column, tmp_path) for case in CASES[-40:]]
        assert any(said), column
