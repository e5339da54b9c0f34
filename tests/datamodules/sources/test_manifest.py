"""Manifests: what a row may say, and where the other rows go."""

import json
import random
from pathlib import Path

import pytest

from datamodules.sample import Media, Sample
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine

CHOICE = {"id": "q1", "question": "What barks?", "options": ["cat", "dog", "D"], "answer": "dog"}
OPEN = {"id": "q1", "question": "How many barks?", "answer": "3"}


def read(root: Path, *rows: object) -> tuple[list[Sample], Quarantine]:
    """Write rows, or raw lines given as bytes, and read them back."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    (root / "train.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    quarantine = Quarantine(max_bad_share=0.5, run_dir=root)
    return read_manifest(root / "train.jsonl", root, quarantine), quarantine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "b.wav").write_bytes(b"RIFX")
    return tmp_path


def test_a_full_row_becomes_a_sample(root):
    media = [{"modality": "audio", "path": "a.wav", "start": 1, "end": 2.5}]
    row = CHOICE | {"media": media, "completion": "It is a dog.", "source": "zoo", "asset_id": "x"}
    [sample], _ = read(root, row | {"evidence": " Something barks. "})
    assert sample.evidence == "Something barks."
    assert (sample.id, sample.options, sample.answer) == ("q1", ("cat", "dog", "D"), "B")
    assert sample.media == (Media(modality="audio", path="a.wav", start=1.0, end=2.5),)
    assert (sample.completion, sample.source, sample.asset_id) == ("It is a dog.", "zoo", "x")


@pytest.mark.parametrize(
    ("answer", "letter"), [("cat", "A"), ("B", "B"), ("B. dog", "B"), ("D", "C"), (" dog ", "B")]
)
def test_a_choice_is_answered_by_text_or_letter_and_text_wins(root, answer, letter):
    """Three options, so "D" is no letter of them but the text of the third."""
    [sample], _ = read(root, CHOICE | {"answer": answer})
    assert sample.answer == letter


@pytest.mark.parametrize("answer", ["dog", "B", "D. dog"])
def test_of_options_that_are_the_same_the_first_letter_is_the_answer(root, answer):
    """Published sets have such; whoever judges takes any of them for right, by its text."""
    [sample], _ = read(root, CHOICE | {"options": ["cat", "dog", "cow", "dog"], "answer": answer})
    assert sample.answer == "B"


@pytest.mark.parametrize(
    ("answer", "answer_type", "canonical"),
    [
        ("Yes", "yes_no", "yes"),
        (False, "yes_no", "no"),
        (3, "number", "3"),
        ("+1,234.50", "number", "1234.5"),
        ("-0.0", "number", "0"),
        ("12.50%", "number", "12.5%"),
    ],
)
def test_answer_types_are_told_from_plain_answers(root, answer, answer_type, canonical):
    [sample], _ = read(root, OPEN | {"answer": answer})
    assert (sample.answer_type, sample.answer) == (answer_type, canonical)


@pytest.mark.parametrize("answer", [["owl", "bat"], "owl,bat"])
def test_a_set_is_a_list_or_a_line_with_commas(root, answer):
    [sample], _ = read(root, OPEN | {"answer": answer, "answer_type": "set"})
    assert sample.answer == "owl, bat"


@pytest.mark.parametrize(
    ("answer_type", "answer", "canonical"),
    [
        ("math", r" \frac{1}{2} ", r"\frac{1}{2}"),
        ("ocr", "NO ENTRY", "NO ENTRY"),
        ("regression", "+1,050.0", "1050"),
    ],
)
def test_types_that_no_answer_tells_are_named(root, answer_type, answer, canonical):
    [sample], _ = read(root, OPEN | {"answer_type": answer_type, "answer": answer})
    assert (sample.answer_type, sample.answer) == (answer_type, canonical)


@pytest.mark.parametrize("answer_type", ["number", "regression"])
def test_numbers_may_have_a_tolerance(root, answer_type):
    row = OPEN | {"answer_type": answer_type}
    samples, _ = read(root, row | {"tolerance": 0.5}, row | {"id": "q2"}, row | {"tolerance": -1})
    assert [sample.tolerance for sample in samples] == [0.5, 0.0]


def test_the_asset_is_the_first_medium_or_else_the_id(root):
    media = [{"modality": "audio", "path": path} for path in ("b.wav", "a.wav")]
    samples, _ = read(root, OPEN | {"media": media}, OPEN | {"id": "q2"})
    assert [sample.asset_id for sample in samples] == ["b.wav", "q2"]


def test_the_source_is_the_manifest_unless_named(root):
    samples, _ = read(root, OPEN, OPEN | {"id": "q2", "source": "zoo"})
    assert [sample.source for sample in samples] == ["train", "zoo"]


def wav(**fields: object) -> dict[str, object]:
    return {"media": [{"modality": "audio", "path": "a.wav"} | fields]}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'{"id": "q1", ', "malformed"),
        (b'{"id": "\xff"}', "malformed"),
        (b'{"id": "q1", "question": "\\ud83d", "answer": "3"}', "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'["q1"]', "malformed"),
        (OPEN | {"id": None}, "missing_id"),
        (OPEN | {"question": " "}, "missing_question"),
        (OPEN | {"answer": None}, "missing_answer"),
        (OPEN | {"answer_type": "essay"}, "bad_answer_type"),
        (OPEN | {"answer": "many"}, "bad_answer_type"),
        (OPEN | {"answer": "many", "answer_type": "number"}, "bad_answer"),
        (OPEN | {"answer": "maybe", "answer_type": "yes_no"}, "bad_answer"),
        (OPEN | {"answer": ["owl", "owl"], "answer_type": "set"}, "bad_answer"),
        (OPEN | {"answer": {"text": "3"}}, "bad_answer"),
        (OPEN | {"answer": "1e3", "answer_type": "regression"}, "bad_answer"),
        (OPEN | {"answer": "1+" * 200, "answer_type": "math"}, "bad_answer"),
        (OPEN | {"answer": float("nan"), "answer_type": "text"}, "bad_answer"),
        (OPEN | {"answer": "7" * 40, "answer_type": "number"}, "bad_answer"),
        (OPEN | {"answer": "?!", "answer_type": "text"}, "bad_answer"),
        (OPEN | {"answer": ["owl", "?"], "answer_type": "set"}, "bad_answer"),
        (OPEN | {"answer": "\u2212", "answer_type": "ocr"}, "bad_answer"),
        (OPEN | {"tolerance": -0.5}, "bad_tolerance"),
        (OPEN | {"tolerance": "0.5"}, "bad_tolerance"),
        (OPEN | {"tolerance": True}, "bad_tolerance"),
        (OPEN | {"tolerance": float("nan")}, "bad_tolerance"),
        (OPEN | {"tolerance": 10**400}, "bad_tolerance"),
        (CHOICE | {"tolerance": 0.5}, "bad_tolerance"),
        (OPEN | {"evidence": ["a bark"]}, "malformed"),
        (OPEN | {"facts": ["a bark"]}, "malformed"),
        (OPEN | {"facts": {"task": None}}, "malformed"),
        (OPEN | {"answer_type": "choice"}, "bad_options"),
        (OPEN | {"audio": "a.wav"}, "unknown_field"),
        (CHOICE | {"answer": "cow"}, "bad_answer"),
        (CHOICE | {"answer": "E"}, "bad_answer"),
        (CHOICE | {"answer": "A. dog"}, "bad_answer"),
        (CHOICE | {"options": ["dog"]}, "bad_options"),
        (CHOICE | {"options": [*map(str, range(10)), "dog"]}, "bad_options"),
        (CHOICE | {"options": ["A. cat", "B. dog"]}, "bad_options"),
        (OPEN | wav(modality="smell"), "bad_media"),
        (OPEN | wav(role="hint"), "bad_media"),
        (OPEN | wav(path=""), "bad_media"),
        (OPEN | wav(text=["Woof."]), "bad_media"),
        (OPEN | wav(start=2, end=2), "bad_media"),
        (OPEN | wav(start=-1), "bad_media"),
        (OPEN | wav(start=10**400), "bad_media"),
        (OPEN | wav(begin=2), "unknown_field"),
        (CHOICE | wav(role="option"), "bad_media"),
        (OPEN | wav(path="c.wav"), "missing"),
        (OPEN | wav(path="."), "missing"),
        (OPEN | wav(path="a\0.wav"), "missing"),
        (OPEN | wav(path="../outside.wav"), "unsafe"),
        (OPEN | wav(path="/etc/hostname"), "unsafe"),
        (OPEN | wav(path="https://example.org/a.wav"), "unsafe"),
    ],
)
def test_a_bad_row_goes_to_quarantine_with_its_reason(root, row, reason):
    outside = root.parent / "outside.wav"
    outside.write_bytes(b"RIFF")
    samples, quarantine = read(root, OPEN | {"id": "good"}, row)
    assert [sample.id for sample in samples] == ["good"]
    assert dict(quarantine.counts) == {reason: 1}


@pytest.mark.parametrize("answer", ["dog", "A", "C"])
def test_of_options_that_are_written_alike_any_may_be_the_answer(root, answer):
    """As some benchmarks ask: left out, the question would be missing from what is scored."""
    [sample], _ = read(root, CHOICE | {"options": ["dog", "cat", "dog"], "answer": answer})
    assert sample.options == ("dog", "cat", "dog")
    assert sample.options["ABC".index(sample.answer)] == "dog"


def test_options_that_only_their_media_tell_apart_are_refused(root):
    """Whoever says "this" would have said all of them."""
    clips = [{"modality": "audio", "path": "a.wav", "role": "option"}] * 2
    row = CHOICE | {"options": ["this", "this"], "answer": "B", "media": clips}
    samples, quarantine = read(root, OPEN, row | {"id": "q2"})
    assert len(samples) == 1
    assert dict(quarantine.counts) == {"bad_options": 1}


def test_ids_may_be_numbers_as_tables_write_them(root):
    """A column of numbers with a gap holds 76.0; a truth value is no name."""
    rows = [OPEN | {"id": name} for name in (76.0, 7, "76.0", 0.5, True, float("nan"))]
    samples, quarantine = read(root, *rows)
    assert [sample.id for sample in samples] == ["76", "7", "76.0", "0.5"]
    assert dict(quarantine.counts) == {"missing_id": 2}


def test_copies_among_the_wrong_options_are_nobodys_business(root):
    [sample], _ = read(root, CHOICE | {"options": ["cat", "cat", "dog"]})
    assert sample.answer == "C"


def test_the_second_row_of_an_id_is_quarantined(root):
    samples, quarantine = read(root, OPEN, OPEN | {"answer": "4"})
    assert [sample.answer for sample in samples] == ["3"]
    assert dict(quarantine.counts) == {"duplicate_id": 1}


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.5), (7.0, 7), (7, "7")])
def test_ids_that_are_numbers_are_told_of_twice_too(root, first, second):
    rows = [OPEN | {"id": first}, OPEN | {"id": second}, OPEN | {"id": 0.25, "answer": ""}]
    quarantine = Quarantine(max_bad_share=1, run_dir=root)
    lines = "\n".join(map(json.dumps, rows))
    (root / "train.jsonl").write_text(lines)
    samples = read_manifest(root / "train.jsonl", root, quarantine)
    bad = [json.loads(line) for line in (root / "quarantine.jsonl").read_text().splitlines()]
    assert [(one["id"], one["reason"]) for one in bad] == [
        (samples[0].id, "duplicate_id"),
        ("0.25", "missing_answer"),
    ]


def test_an_id_of_another_manifest_is_taken(root):
    (root / "more.jsonl").write_text(json.dumps(OPEN) + "\n" + json.dumps(OPEN | {"id": "q2"}))
    quarantine = Quarantine(max_bad_share=0.5)
    samples = read_manifest(root / "more.jsonl", root, quarantine, taken={"q1"})
    assert [sample.id for sample in samples] == ["q2"]
    assert dict(quarantine.counts) == {"duplicate_id": 1}


def test_what_is_written_beside_a_question_is_no_part_of_the_content_hash(root):
    """A score belongs to what is asked and answered."""
    more = {"evidence": "Three barks.", "completion": "3, I hear.", "facts": {"task": "sound"}}
    one, other = read(root, OPEN | wav(), OPEN | more | {"id": "q2"} | wav(text="Woof!"))[0]
    assert one.content_hash == other.content_hash
    assert (other.media[0].text, other.facts) == ("Woof!", {"task": "sound"})


def test_media_lie_outside_the_root_only_where_that_is_allowed(root, tmp_path_factory):
    """The content is the same wherever it lies."""
    outside = tmp_path_factory.mktemp("outside") / "a.wav"
    outside.write_bytes(b"RIFF")
    rows = [OPEN | wav(), OPEN | {"id": "q2"} | wav(path=str(outside))]
    samples, quarantine = read(root, *rows)
    assert [sample.id for sample in samples] == ["q1"]
    assert dict(quarantine.counts) == {"unsafe": 1}
    path, allowed = root / "train.jsonl", Quarantine(max_bad_share=0)
    one, other = read_manifest(path, root, allowed, outside_root=True)
    assert one.content_hash == other.content_hash


def test_quarantine_names_row_id_reason_and_sentence(root):
    read(root, OPEN, b"", CHOICE | {"id": "q2", "answer": "cow"})
    [line] = (root / "quarantine.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["id"], record["reason"]) == ("q2", "bad_answer")
    assert record["path"] == f"{root / 'train.jsonl'}:3"
    assert "'cow', but names one of the options" in record["detail"]


def test_a_missing_manifest_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"no manifest .*none\.jsonl.*data\.root="):
        read_manifest(tmp_path / "none.jsonl", tmp_path, Quarantine(max_bad_share=0))


def test_the_content_hash_follows_the_bytes_and_not_the_place(root):
    (root / "copy.wav").write_bytes(b"RIFF")
    rows = [OPEN | {"id": path} | wav(path=path) for path in ("a.wav", "copy.wav", "b.wav")]
    hashes = [sample.content_hash for sample in read(root, *rows)[0]]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_tolerance_is_part_of_the_content_hash_and_its_absence_is_not(root):
    """The first hash is that of a manifest read before there were tolerances."""
    rows = [OPEN | {"id": f"{at}", "tolerance": at} for at in (0, 0.0, 1, 1.0, 1.5)]
    hashes = [sample.content_hash for sample in read(root, OPEN, *rows)[0]]
    assert hashes[:3] == ["7dc3d9f94ee93af701240c81f16b36ab"] * 3
    assert hashes[3] == hashes[4] != hashes[5]
    assert hashes[0] not in hashes[3:]


def test_no_mutation_of_a_row_ends_in_a_traceback(root):
    """Every value of a good row is replaced by every odd value; each row is read or set aside."""
    odd = [None, True, 0, -1, 1e308, "", " ", "B", [], [None], {}, {"a": 1}, "\x00", ["a", "b"]]
    row = CHOICE | wav() | {"answer_type": "choice", "completion": "", "asset_id": "x"}
    row |= {"tolerance": 0}
    medium = {"modality": "audio", "path": "a.wav", "start": 0, "end": 1, "role": "context"}
    rows = [row | {name: value} for name in row for value in odd]
    rows += [row | wav(**{name: value}) for name in medium for value in odd]
    named = [row | {"id": f"{i}"} if row["id"] == "q1" else row for i, row in enumerate(rows)]
    samples, quarantine = read(root, *named)
    assert samples
    assert len(samples) + len(quarantine) == len(rows)


def test_no_damaged_byte_of_a_row_ends_in_a_traceback(root):
    line, dice = json.dumps(CHOICE | wav()).encode(), random.Random(3)
    damaged = [bytearray(line) for _ in range(500)]
    for copy in damaged:
        copy[dice.randrange(len(copy))] = dice.choice(b'"{}[],:0\\ \xff')
    samples, quarantine = read(root, *map(bytes, damaged))
    assert len(samples) + len(quarantine) == 500


def test_quarantine_stops_a_run_above_the_allowed_share(tmp_path):
    """2 bad of 19 are more than a tenth, 2 of 20 are not."""
    quarantine = Quarantine(max_bad_share=0.1, run_dir=tmp_path)
    quarantine.add("q7", "missing", "'c.wav' is not there.", "train.jsonl:7")
    quarantine.add("q8", "empty", "no sound.", "d.wav")
    quarantine.check(20)
    with pytest.raises(ValueError, match=r"2 of 19 .*1 missing, 1 empty.*'q7' at train.jsonl:7"):
        quarantine.check(19)


def test_quarantine_counts_a_record_met_twice_once(tmp_path):
    quarantine = Quarantine(max_bad_share=0.1, run_dir=tmp_path)
    for _ in range(2):
        quarantine.add("q7", "empty", "no sound.", "d.wav")
    assert len(quarantine) == 1
    assert len((tmp_path / "quarantine.jsonl").read_text().splitlines()) == 1
