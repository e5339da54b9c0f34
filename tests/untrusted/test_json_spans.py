"""Values of JSON are found where a parser finds them, without being made."""

import json
import random
from functools import partial

import pytest

from datamodules.sources import bounds, json_files
from datamodules.sources.nested import questions_in
from datamodules.sources.row_files import read_rows
from tests.format_media import FIXTURES
from untrusted.json_spans import members

TEXTS = ["", 'a "b"', "\\", '\\"', "[{", "]}", "é", "\ud83d", ",:", " \t\n", "\x7f\0"]
PLAIN = [*TEXTS, 0, -1.5e300, True, False, None]


def made_up(dice: random.Random, depth: int) -> object:
    """A value of JSON: mostly texts that look like the marks around them."""
    if depth == 0 or dice.random() < 0.3:
        return dice.choice(PLAIN)
    inner = [made_up(dice, depth - 1) for _ in range(dice.randrange(4))]
    if dice.random() < 0.5:
        return inner
    return {f"{n}{dice.choice(TEXTS)}": value for n, value in enumerate(inner)}


@pytest.mark.parametrize("seed", range(300))
def test_values_are_found_where_a_parser_finds_them(seed):
    dice = random.Random(seed)
    held = [made_up(dice, 6), {"x": made_up(dice, 5)}]
    indent = dice.choice([None, 1, "\t"])
    content = json.dumps(held, indent=indent, ensure_ascii=dice.random() < 0.5)
    text = content.encode(errors="surrogatepass")
    read = partial(str, encoding="utf-8", errors="surrogatepass")
    spans = [*members(text, 0, len(text))]
    assert [json.loads(read(text[begin:end])) for _, begin, end in spans] == held
    for _, begin, end in spans:
        value = json.loads(read(text[begin:end]))
        if isinstance(value, dict) and "\ud83d" not in content:
            inner = members(text, begin, end)
            assert {name: json.loads(read(text[a:b])) for name, a, b in inner} == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[1 2]", "a comma or ']' is missing at byte 2"),
        (b"[1,]", "a value is missing at byte 3"),
        (b"[,1]", "a value is missing at byte 1"),
        (b'{"a" 1}', "a name is missing at byte 1"),
        (b'{"a": 1]', "a comma or '}' is missing at byte 7"),
        (b"[1]]", "more behind its end, at byte 3"),
        (b'["a]', "a comma or ']' is missing at byte 4"),
        (b"[[1]", "a comma or ']' is missing at byte 4"),
        (b"[[1", "what begins at byte 1 has no end"),
        (b"[" * 99_999, "without end"),
        (b"[[" + (b"[" * 30 + b"]" * 30 + b",") * 100_000 + b"1]]", "without end"),
        (b'["' + b'\\"' * 5_000_000, "a comma or ']' is missing"),
        (b'[{"' + b'\\"' * 5_000_000, "what begins at byte 1 has no end"),
        (b"[{" + b"7" * 5_000_000, "what begins at byte 1 has no end"),
    ],
)
def test_what_is_missing_is_named_with_its_place(text, message):
    """In linear time: the last ones would take hours otherwise."""
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        list(members(text, 0, len(text)))


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("most", [bounds.MOST_VALUES, 60])
def test_rows_are_those_of_the_whole_file(path, most, monkeypatch):
    """With a limit below a file, but not below its rows, what is around them is opened."""
    held = json.loads(path.read_text())
    whole = [(f"{path}{place}", row) for place, row in questions_in(held, path)]
    most = max(most, *(2 * len(json.dumps(row)) for _, row in whole))
    for name in ("MOST_VALUES", "LONGEST_ROW"):
        monkeypatch.setattr(bounds, name, most)
    monkeypatch.setattr(json_files, "AT_ONCE", 100)
    assert [(found.place, found.row) for found in read_rows(path)] == whole
