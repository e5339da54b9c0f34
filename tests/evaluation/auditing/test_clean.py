"""Views of a hand-made set: which of eight questions survive which rule, and why."""

import json
import time
from pathlib import Path

import pytest

from configs.load import load_config
from datamodules.contamination.clean_view import CleanView, find_views, read_view
from datamodules.contribution.probe_cache import ProbeRow, describe_probe, write_shard
from evaluation.auditing.clean import clean
from tests.evaluation.auditing.test_stage import FOUR, A, B, answer, questions
from tests.evaluation.auditing.test_stage import (
    root as root,  # a fixture: eight questions, no probe yet
)

ONE = [f"data.contribution.{word}=1" for word in ("samples", "min_correct", "min_questions")]
OMNICLEAN = ["clean.rules=[omniclean]", "data.contribution.rule=omniclean", *ONE]
CALIBRATED = ["clean.rules=[calibrated]"]


def run(root: Path, *words: str, name: str = "a") -> str:
    common = ["data=manifest", f"data.root={root}", f"run.root={root / 'runs'}", f"run.name={name}"]
    sets = [] if any(word.startswith("clean.sets") for word in words) else ["clean.sets=[train]"]
    return clean(load_config(["stage=clean", *common, *sets, *words], ("clean",)))


def view(root: Path, rule: str = "omniclean", name: str = "train") -> CleanView:
    return read_view(root / "views" / f"{name}.{rule}.jsonl")


def told(text: str) -> str:
    """Undo the breaks of lines."""
    return " ".join(text.split())


def test_omniclean_keeps_what_no_answer_solved(root):
    """Of the four with sound, 1 and 5 are answered without it; the other four have none."""
    answer(root, A, FOUR)
    run(root, *OMNICLEAN)
    found = {row.id: (row.band, row.kept, row.reason) for row in view(root).rows}
    nothing = ("undefined", True, "no_audio withholds nothing from it")
    assert found == {
        "q1": ("weak", False, "1 of 1 answers are right"),
        "q2": ("strong", True, "0 of 1 answers are right"),
        "q3": nothing,
        "q4": ("strong", True, "0 of 1 answers are right"),
        "q5": ("weak", False, "1 of 1 answers are right"),
        **dict.fromkeys(("q6", "q7", "q8"), nothing),
    }


def test_a_view_says_by_which_rule_and_by_whom_it_was_made(root):
    answer(root, A, FOUR)
    run(root, *OMNICLEAN)
    head = json.loads((root / "views/train.omniclean.jsonl").read_text().splitlines()[0])
    numbers = head.pop("numbers")
    assert head == {
        "set": "train",
        "rule": "omniclean",
        "condition": "no_audio",
        "how": "absent",
        "probes": [{"key": A, "model": "model a"}],
        "questions": 8,
        "kept": 6,
    }
    assert (numbers["votes_needed"], numbers["min_questions"]) == (1, 1)


def test_a_set_that_is_too_small_is_kept_whole_and_needs_no_probe(root):
    run(root, "clean.rules=[omniclean]")
    kept = {row.id: (row.band, row.reason) for row in view(root).rows if row.kept}
    assert len(kept) == 8 and view(root).probes == []
    assert kept["q1"] == ("unstable", "its source has fewer than 500 questions")
    assert kept["q3"][0] == "undefined"


def test_questions_whose_options_are_withheld_are_kept_and_need_no_probe(root):
    options = [{"modality": "audio", "path": f"{n}.wav", "role": "option"} for n in (1, 2)]
    row = {"id": "q", "question": "Which barks?", "options": ["1", "2"], "answer": "A"}
    (root / "sounds.jsonl").write_text(json.dumps(row | {"media": options}))
    words = ["clean.sets=[sounds]", *OMNICLEAN]
    run(root, *words)
    [row] = view(root, name="sounds").rows
    assert (row.band, row.kept, row.reason) == ("undefined", True, "no_audio withholds options")


def half(root: Path, key: str) -> None:
    """Answer question 4 rightly 8 of 16 times, and the others always or never."""
    samples = questions(root)
    describe_probe(root / "probes", key, {"model": "some"})
    right = {"q1": 16, "q2": 0, "q3": 0, "q4": 8, "q5": 0, "q6": 16}
    rows = [
        ProbeRow(
            sample_id=name,
            content_hash=samples[name].content_hash,
            probe_key=key,
            condition="text_only",
            how="absent",
            n=16,
            n_correct=count,
            n_unparsed=0,
            time=time.time(),
        )
        for name, count in right.items()
    ]
    write_shard(root / "probes", rows)


def test_calibrated_removes_the_weak_alone_and_marks_what_it_cannot_tell(root):
    """Of six, P(>= 8 of 16 | 1/4) = 0.027 is above 3/6 of 0.05, and P(<= 8 | 5/8) = 0.2."""
    half(root, A)
    run(root, *CALIBRATED)
    rows = {row.id: row for row in view(root, "calibrated").rows}
    assert [name for name, row in rows.items() if not row.kept] == ["q1", "q6"]
    assert (rows["q4"].band, rows["q4"].reason) == ("undetermined", "8 of 16 answers are right")
    assert rows["q7"].reason == "text_only withholds nothing from it"
    assert rows["q8"].reason == "text_only withholds options"


def test_lacking_answers_name_the_command_and_leave_no_view(root):
    half(root, A)
    with pytest.raises(ValueError, match="1 of 2 views lack answers") as error:
        run(root, "clean.rules=[calibrated,omniclean]", "data.contribution.min_questions=1")
    text = told(str(error.value).replace("\\\n", ""))
    assert "train by omniclean: no probe was asked under no_audio/absent" in text
    assert (
        "stage=probe 'probe.conditions=[no_audio]' probe.replacement=absent probe.samples=16"
        in text
    )
    assert "probe.split=train" not in text  # which it is unless told
    assert not (root / "views").exists()


def test_a_rule_with_its_own_numbers_is_asked_until_it_can_decide(root):
    with pytest.raises(ValueError) as error:
        run(root, *CALIBRATED)
    assert str(error.value).endswith(
        "\n    python eval.py stage=probe probe.stop_when_decided_by=calibrated"
    )
    with pytest.raises(ValueError, match=r"'probe.conditions=\[text_only\]'"):
        own = ("data.contribution.rule=calibrated", "data.contribution.samples=9")
        run(root, *CALIBRATED, *own, name="b")


def test_a_rule_of_several_voters_is_asked_by_one_command_each(root):
    with pytest.raises(ValueError, match=r"model\.path=MODEL_3"):
        run(root, "clean.rules=[audiomcq]")


def test_the_command_names_the_set(root):
    (root / "other.jsonl").write_text((root / "train.jsonl").read_text())
    with pytest.raises(ValueError) as error:
        run(root, *CALIBRATED, "clean.sets=[other]")
    assert "probe.split=other" in str(error.value)


def test_too_few_answers_are_lacking_answers(root):
    answer(root, A, FOUR)
    with pytest.raises(ValueError, match="6 questions were asked too seldom under text_only"):
        run(root, *CALIBRATED)


def test_of_several_probes_one_is_named(root):
    """B answers nothing rightly, so that all six are strong."""
    answer(root, A, FOUR, n=16)
    answer(root, B, {"text_only": FOUR["text_only"].lower()}, n=16)
    with pytest.raises(ValueError, match=r"2 probes could vote \(a1a1a1a1, b2b2b2b2\)"):
        run(root, *CALIBRATED)
    run(root, *CALIBRATED, "data.contribution.probes=[b2]", name="b")
    assert all(row.kept for row in view(root, "calibrated").rows)
    assert view(root, "calibrated").probes == [{"key": B, "model": "model b"}]


def test_numbers_of_a_rule_that_does_not_judge_are_refused(root):
    with pytest.raises(ValueError, match=r"vidground, but clean\.rules is"):
        run(root, "clean.rules=[omniclean]", "data.contribution.rule=vidground")


def test_the_same_judgment_is_the_same_bytes(root):
    answer(root, A, FOUR)
    file = root / "views/train.omniclean.jsonl"
    run(root, *OMNICLEAN)
    first = file.read_bytes()
    file.unlink()
    run(root, *OMNICLEAN, name="b")
    assert file.read_bytes() == first


def test_a_view_fits_the_set_that_was_judged(root):
    answer(root, A, FOUR)
    run(root, *OMNICLEAN)
    [found] = find_views(root / "views", "train")
    kept = found.kept(list(questions(root).values()))
    assert kept.tolist() == [False, True, True, True, False, True, True, True]


def test_a_set_outside_the_data_has_no_view(root):
    with pytest.raises(ValueError, match=r"the set '\.\./other' lies outside data\.root"):
        run(root, "clean.sets=[../other]")


def test_the_table_counts_before_and_after(root):
    """Judged are 1, 2, 4, 5; a guesser of four options would be weak in a quarter."""
    answer(root, A, FOUR)
    lines = run(root, *OMNICLEAN).splitlines()
    row = next(line for line in lines if line.startswith("train"))
    assert row.split()[:8] == ["train", "omniclean", "8", "6", "75.0", "4", "0", "0"]
    assert row.split()[8] == "50.0" and row.endswith(" 25.0")
    assert "train by omniclean reads no_audio/absent of a1a1a1a1 (model a)" in lines
    assert max(map(len, lines[:-1])) <= 100


def test_several_sets_are_summed_and_the_largest_is_named(root):
    """Of 8 and 5, all but 1 and 5 are kept: 6 and 3, or 9 of 13; two thirds are of the first."""
    answer(root, A, FOUR)
    first = (root / "train.jsonl").read_text().splitlines()
    (root / "few.jsonl").write_text("\n".join(first[:5]))
    text = run(root, *OMNICLEAN, "clean.sets=[train,few]")
    row = next(line for line in text.splitlines() if line.startswith("all sets"))
    assert row.split() == ["all", "sets", "omniclean", "13", "9", "69.2"]
    assert "67 % of what omniclean keeps is of train" in text
    results = json.loads((root / "runs/a/results.json").read_text())["views"]
    assert [(one["set"], one["questions"], one["kept"]) for one in results] == [
        ("train", 8, 6),
        ("few", 5, 3),
    ]
    assert results[1]["bands"]["undefined"] == 1 and results[1]["guesser"] == 0.25
