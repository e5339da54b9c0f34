"""Audits of a hand-made manifest and cache, in exact numbers."""

import json
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from configs.ablation import Condition
from configs.load import load_config
from datamodules.contribution.probe_cache import ProbeRow, describe_probe, write_shard
from datamodules.sample import Sample
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from evaluation.auditing.stage import audit

A, B, C = "a1" * 16, "b2" * 16, "c3" * 16

QUESTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {  # evidence, media
    "q1": ("audio", ("1.wav",)),
    "q2": ("audio", ("2.wav",)),
    "q3": ("visual", ("3.png",)),
    "q4": ("both", ("4.wav", "4.png")),
    "q5": ("either", ("5.wav", "5.png")),
    "q6": ("text", ("6.png",)),
    "q7": ("text", ()),
    "q8": ("visual", ("a.png", "b.png", "c.png", "d.png")),  # the options
}

FOUR: Mapping[Condition, str] = {  # the questions asked, in capitals those answered right
    "full": "Q1 q2 Q3 Q4 Q5 Q6 Q7 Q8",
    "no_audio": "Q1 q2 q4 Q5",
    "no_visual": "q3 q4 Q5 Q6 q8",
    "text_only": "Q1 q2 q3 q4 q5 Q6 q8",
}
THREE: Mapping[Condition, str] = {
    "no_text": "q1 q2 Q3 q4 q5 q6 q7 q8",
    "audio_only": "q1 q2 q3 q4 q5 q6 q7 q8",
    "visual_only": "q1 q2 Q3 q4 q5 q6 q7 q8",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Directory of eight questions and what is known about them; no probe yet."""
    rows, known = [], []
    for name, (evidence, files) in QUESTIONS.items():
        kinds = {"wav": "audio", "png": "image"}
        role = "option" if len(files) == 4 else "context"
        media = [{"modality": kinds[file[-3:]], "path": file, "role": role} for file in files]
        for file in files:
            (tmp_path / file).write_bytes(file.encode())
        row = {"id": name, "question": f"{name}?", "options": list("wxyz"), "answer": "x"}
        rows.append(json.dumps(row | {"media": media}))
        known.append(json.dumps({"id": name, "family": "some", "evidence": evidence}))
    (tmp_path / "truth").mkdir()
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    (tmp_path / "truth" / "train.jsonl").write_text("\n".join(known))
    return tmp_path


def questions(root: Path, split: str = "train") -> dict[str, Sample]:
    read = read_manifest(root / f"{split}.jsonl", root, Quarantine(max_bad_share=0))
    return {sample.id: sample for sample in read}


def answer(
    root: Path, key: str, told: Mapping[Condition, str], *, how: str = "absent", n: int = 1
) -> None:
    """Put answers into the cache, one shard a condition."""
    samples = questions(root)
    describe_probe(root / "probes", key, {"model": f"model {key[0]}"})
    for condition, words in told.items():
        rows = [
            ProbeRow(
                sample_id=word.lower(),
                content_hash=samples[word.lower()].content_hash,
                probe_key=key,
                condition=condition,
                how="absent" if condition == "full" else how,
                n=n,
                n_correct=n * word.isupper(),
                n_unparsed=int(word == "q2"),
                time=time.time(),
            )
            for word in words.split()
        ]
        write_shard(root / "probes", rows)


def run(root: Path, *words: str) -> str:
    common = ["data=manifest", f"data.root={root}", f"run.root={root / 'runs'}", "run.name=a"]
    common += [] if "audit.plot=true" in words else ["audit.plot=false"]
    return audit(load_config(["stage=audit", *common, *words], ("audit",)))


def results(root: Path) -> dict:
    return json.loads((root / "runs" / "a" / "results.json").read_text())


def test_coverage_counts_what_was_asked_of_what_is_withheld(root):
    """Sound is withheld from three of the four asked; of four answers two are right, one unread."""
    answer(root, A, FOUR)
    told = run(root)
    rows = {row["condition"]: row for row in results(root)["probes"]}
    assert rows["no_audio"] == {
        "key": A, "condition": "no_audio", "how": "absent", "asked": 4, "wanted": 4,
        "answers": 4, "orders": 1, "right": 0.5, "unparsed": 0.25,
    }  # fmt: skip
    assert (rows["full"]["asked"], rows["full"]["wanted"]) == (8, 8)
    assert rows["text_only"]["wanted"] == 7
    assert "a1a1a1a1  model a" in told


def test_vidground_in_numbers(root):
    """Weak: 1 and 6 of the six that have media which are not options; all are one of four."""
    answer(root, A, FOUR)
    run(root)
    row = next(row for row in results(root)["rules"] if row["name"] == "vidground")
    assert row["bands"] == {
        "weak": 2, "strong": 4, "undetermined": 0, "undefined": 2, "unstable": 0, "missing": 0,
    }  # fmt: skip
    assert row["kept"] == 6 and row["voters"] == [A]
    assert row["weak"]["mean"] == pytest.approx(2 / 6) and row["guesser"] == 0.25


def test_vidground_against_the_truth(root):
    """Of five that need media four are strong and one is weak; the sixth, answerable, is weak."""
    answer(root, A, FOUR)
    told = run(root)
    check = results(root)["truth"]["vidground"]
    assert check["table"] == {
        "needs": {"strong": 4, "weak": 1, "undetermined": 0},
        "answerable": {"strong": 0, "weak": 1, "undetermined": 0},
    }
    names = ("strong_precision", "strong_recall", "weak_precision", "weak_recall", "balanced")
    assert [check[name]["mean"] for name in names] == pytest.approx([1, 0.8, 0.5, 1, 0.9])
    assert check["weak_recall"]["low"] is None  # of one asset
    assert "TRUTH" in told and "strong: prec." in told


def test_rules_agree_as_far_as_they_keep_the_same(root):
    """Any of one drops q1 and q5, vidground q1 and q6: 5 of 7 that either keeps are kept by both.

    calibrated and soft lack answers, and are not compared.
    """
    answer(root, A, FOUR)
    numbers = [
        f"data.contribution.{word}=1" for word in ("samples", "min_correct", "min_questions")
    ]
    run(root, "data.contribution.rule=omniclean", *numbers)
    found = results(root)["agreement"]
    assert found["names"] == ["omniclean", "vidground"]
    assert found["jaccard"] == [[1.0, 5 / 7], [5 / 7, 1.0]]
    assert found["conditions"] == 2


def test_contributions_of_sound_and_pictures(root):
    """Both: 1/2 each and synergy 1; either: 1/2 each and synergy -1; 3 by pictures alone.

    1 is right without its sound, 2 wrong with it, 6 and 7 take none; 8 is undefined.
    """
    answer(root, A, FOUR)
    told = run(root, "audit.group_by=evidence")
    found = results(root)["contribution"]
    means = {
        group: [row[name]["mean"] for name in ("audio", "visual", "synergy")]
        for group, row in found["groups"].items()
    }
    assert found["players"] == ["audio", "visual"] and found["probe"] == A
    assert means == {
        "all questions": pytest.approx([1 / 7, 2 / 7, 0]),
        "audio": [0, 0, 0],
        "both": [0.5, 0.5, 1],
        "either": [0.5, 0.5, -1],
        "text": [0, 0, 0],
        "visual": [0, 1, 0],
    }
    assert found["groups"]["all questions"]["audio"]["clusters"] == 7
    assert "'probe.conditions=[no_text,audio_only,visual_only]'" in told
    assert "Left out, for their options are media: 1" in told


def test_words_have_a_share_where_all_was_asked(root):
    """Question 3: v is 1 with words and picture, 1 with the picture, 0 with words, 1/4 with none.

    words: ((0 - 1/4) + (1 - 1)) / 2 = -1/8; pictures: ((1 - 1/4) + (1 - 0)) / 2 = 7/8
    """
    answer(root, A, FOUR | THREE)
    told = run(root)
    rows = map(json.loads, (root / "runs/a/contribution.jsonl").read_text().splitlines())
    third = {row["id"]: row for row in rows}["q3"]
    assert (third["audio"][0], third["visual"][0], third["text"][0]) == (0, 0.875, -0.125)
    assert third["visual"][1] < 0.875 == third["visual"][2]  # all bounds lie below
    assert results(root)["contribution"]["players"] == ["audio", "visual", "text"]
    assert "it does better than a guesser" in told and "three more conditions" not in told


def test_every_question_has_a_line(root):
    answer(root, A, FOUR)
    run(root)
    rows = list(map(json.loads, (root / "runs/a/contribution.jsonl").read_text().splitlines()))
    assert [row["id"] for row in rows] == list(QUESTIONS)
    assert [row["bands"]["vidground"] for row in rows[4:7]] == ["strong", "weak", "undefined"]
    assert rows[3]["synergy"][0] == 1 and rows[7]["synergy"] == [None, None, None]


def test_the_plot_is_a_picture_of_1200_by_600(root):
    answer(root, A, FOUR)
    told = run(root, "audit.plot=true")
    data = (root / "runs/a/contribution.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data.endswith(b"IEND\xaeB`\x82")
    assert struct.unpack(">II", data[16:24]) == (1200, 600)
    assert "contribution.png in" in told


def test_no_plot_is_drawn_unasked(root):
    answer(root, A, FOUR)
    assert "contribution.png" not in run(root, "audit.plot=false")
    assert not (root / "runs/a/contribution.png").exists()


def test_probes_that_suit_one_voter_are_judged_apart(root):
    """B answered nothing right, so it finds all six strong."""
    answer(root, A, FOUR)
    answer(root, B, {"text_only": FOUR["text_only"].lower()})
    run(root)
    weak = {row["name"]: row["bands"]["weak"] for row in results(root)["rules"]}
    assert weak["vidground/a1a1"] == 2 and weak["vidground/b2b2"] == 0


def test_named_probes_alone_are_read(root):
    answer(root, A, FOUR)
    answer(root, B, {"text_only": FOUR["text_only"].lower()})
    run(root, "audit.probes=[b2]")
    assert {row["key"] for row in results(root)["probes"]} == {B}
    assert [row["name"] for row in results(root)["rules"]] == ["vidground"]


def test_three_probes_vote_together(root):
    """Of 1, 2, 4 and 5: 1 has two votes and 5 three."""
    for key, told in ((A, "Q1 q2 q4 Q5"), (B, "Q1 q2 Q4 Q5"), (C, "q1 q2 q4 Q5")):
        answer(root, key, {"no_audio": told}, how="silent")
    run(root)
    [row] = results(root)["rules"]
    assert (row["name"], row["bands"]["weak"], row["bands"]["strong"]) == ("audiomcq", 2, 2)
    assert row["voters"] == [A, B, C]


def test_two_probes_are_too_few_for_three_votes(root):
    for key in (A, B):
        answer(root, key, {"no_audio": "Q1 q2 q4 Q5"}, how="silent")
    told = run(root)
    lacking = {row["name"]: row for row in results(root)["not_judged"]}
    assert "3 probes vote" in lacking["audiomcq"]["reason"]
    assert len(lacking["audiomcq"]["commands"]) == 3
    assert "rules" not in results(root) and "Unknown until one probe" in told


def test_voters_can_be_named(root):
    """B sits in two of three places, so its answers decide: 1, 4 and 5."""
    answer(root, A, {"no_audio": "q1 Q2 q4 q5"}, how="silent")
    answer(root, B, {"no_audio": "Q1 q2 Q4 Q5"}, how="silent")
    run(root, "data.contribution.rule=audiomcq", "data.contribution.probes=[b2,a1,b2]")
    [row] = results(root)["rules"]
    assert row["bands"]["weak"] == 3 and row["voters"] == ["b2", "a1", "b2"]


def test_too_few_answers_for_a_rule_are_named_with_the_command(root):
    answer(root, A, FOUR)
    told = run(root)
    lacking = {row["name"]: row for row in results(root)["not_judged"]}
    assert lacking["calibrated"]["reason"].startswith("6 questions were asked too seldom")
    assert "probe.samples=16" in lacking["calibrated"]["commands"][0]
    assert "NOT JUDGED, or by some probes only: " in told and "calibrated" in told
    assert "data.contribution.rule=NAME prints what" in told and "probe.samples=16" not in told
    told = run(root, "data.contribution.rule=calibrated", "run.name=another")
    assert "calibrated: 6 questions were asked too seldom" in told and "probe.samples=16" in told


def test_numbers_that_a_rule_does_not_know_are_said(root):
    answer(root, A, FOUR)
    run(root, "data.contribution.samples=1", "data.contribution.min_questions=1")
    names = {row["name"]: row["reason"] for row in results(root)["not_judged"]}
    assert "vidground_m1 are asked in different ways" in names["vidground_m1"]
    assert "omniclean" in {row["name"] for row in results(root)["rules"]}


def test_the_report_fits_a_terminal_of_100_columns(root):
    answer(root, A, FOUR, n=16)
    told = run(root, "audit.group_by=evidence")
    assert {row["name"] for row in results(root)["rules"]} >= {"calibrated", "soft"}
    assert max(map(len, told.splitlines()[1:-1])) <= 100


def test_shards_become_one_when_asked(root):
    answer(root, A, FOUR)
    assert "a1a1a1a1: 4 shards became one" in run(root, "audit.compact=true")
    assert len(list(root.glob("probes/*/*.parquet"))) == 1
    assert "nothing to compact" in run(root, "audit.compact=true", "run.name=b")


def test_an_empty_cache_says_how_to_fill_it(root):
    with pytest.raises(ValueError, match=r"no probe in .*probes, but .* `python eval.py stage=pr"):
        run(root)


def test_answers_to_other_questions_are_no_answers(root):
    answer(root, A, FOUR)
    (root / "test.jsonl").write_text('{"id": "t1", "question": "1 + 1?", "answer": 2}')
    with pytest.raises(ValueError, match=r"a1a1a1a1\) .*no question of test.*probe.split=test"):
        run(root, "audit.split=test")


def test_a_split_that_is_not_there_is_named(root):
    answer(root, A, FOUR)
    with pytest.raises(ValueError, match=r"no manifest .*none\.jsonl"):
        run(root, "audit.split=none")


def test_groups_that_nobody_wrote_down_are_an_error(root):
    answer(root, A, FOUR)
    (root / "truth" / "train.jsonl").unlink()
    with pytest.raises(ValueError, match=r"group_by is family.*audit\.group_by=source"):
        run(root, "audit.group_by=family")


def test_without_truth_the_rest_is_told(root):
    answer(root, A, FOUR)
    (root / "truth" / "train.jsonl").unlink()
    assert "TRUTH" not in run(root) and "truth" not in results(root)


def test_an_audit_brings_no_torch():
    code = (
        "import sys, evaluation.auditing.stage;"
        "sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 0
    )
