"""What a run records of itself for its card."""

import pytest
import torch
import transformers

from publishing.origin import Origin
from publishing.record import (
    Record,
    TrainedOn,
    installed_versions,
    read_record,
    trained_on,
    write_record,
)


def test_questions_are_counted_by_source_and_small_ones_together():
    sources = ["b"] * 2 + ["a"] * 5 + [f"s{n}" for n in range(13)]
    found = trained_on(sources, kept=7)
    assert (found.questions, found.kept) == (20, 7)
    assert [*found.sources.items()][:2] == [("a", 5), ("b", 2)]
    assert len(found.sources) == 13 and found.sources["3 more sources"] == 3


def test_a_record_is_read_as_it_was_written(tmp_path):
    record = Record(
        trained_on=TrainedOn(sources={"ü": 3}, questions=3, kept=2),
        origin=Origin(name="x", id="a/x", license="mit", language=("en", "de")),
        steps=5,
        versions={"torch": "2"},
    )
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record


def test_versions_are_those_that_ran():
    found = installed_versions()
    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert found["transformers"] == transformers.__version__
    assert found["earwitness"].count(".") == 2 and found["python"].startswith("3.")


@pytest.mark.parametrize("text", ["{}", "[]", "nothing", '{"origin": {}, "trained_on": {}}'])
def test_a_damaged_record_is_a_sentence(tmp_path, text):
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(ValueError, match=r"card\.json is damaged \(.*restore it, or train"):
        read_record(tmp_path)
