"""The questions of the digits set: what their rows hold, and that their truth is true."""

import random
from collections import Counter, defaultdict

import numpy as np

from datamodules.digits.media_pool import MediaPool, plan
from datamodules.digits.question_draft import totals
from datamodules.digits.questions import compare
from datamodules.sample import ANSWER_TYPES, LETTERS
from tests.datamodules.digits.conftest import families, paths, read, rows
from tests.small_digits import AMOUNT, SPLITS

FAMILIES = {
    "text", "shortcut", "see", "hear", "either", "pair", "sum", "compare", "same", "order", "film",
    "media_options", "sound", "set", "larger",
}  # fmt: skip


def test_splits_share_no_picture_and_no_voice(root):
    owner = {}
    for split in SPLITS:
        for row in read(root / f"{split}.jsonl"):
            kind, _, name = row["asset_id"].partition("-")
            if kind == "voice":
                name = name.split("+")[1]  # the speaker, whatever the accent
            assert owner.setdefault((kind, name), split) == split, row["asset_id"]
    assert {kind for kind, _ in owner} == {"image", "voice", "sound", "text"}


def test_media_come_from_the_split_that_asks(root):
    for split in SPLITS:
        for row in read(root / f"{split}.jsonl"):
            assert all(path.startswith(f"media/{split}/") for path in paths(row))


def test_every_answer_is_among_its_options(root):
    for row in rows(root):
        options = row.get("options", [])
        assert row["answer_type"] in ANSWER_TYPES
        assert bool(options) == (row["answer_type"] == "choice")
        if options:
            assert options.count(row["answer"]) == 1
            assert len(set(options)) == len(options)
            assert 2 <= len(options) <= 8 <= len(LETTERS)


def test_open_answers_are_canonical(root):
    answers = defaultdict(set)
    for row in rows(root):
        answers[row["answer_type"]].add(row["answer"])
    assert answers["yes_no"] == {"yes", "no"}
    assert all(0 <= int(answer) <= 18 for answer in answers["number"])
    for answer in answers["set"]:
        first, second = map(int, answer.split(", "))
        assert first < second


def test_every_family_is_in_every_split(root):
    for split in SPLITS:
        seen = {row["family"] for row in families(root, split).values()}
        assert seen == FAMILIES | ({"describe", "told"} if split == "warm" else set())


def test_evidence_is_known_apart_from_the_manifest(root):
    for split in SPLITS:
        manifest, truth = read(root / f"{split}.jsonl"), families(root, split)
        assert [row["id"] for row in manifest] == list(truth)
        assert not any({"evidence", "family"} & row.keys() for row in manifest)
        evidence = {row["evidence"] for row in truth.values()}
        assert evidence == {"text", "visual", "audio", "either", "both"}


def test_evidence_names_media_that_are_there(root):
    """Whoever must see is shown an image or a film, whoever must hear is played something."""
    for split in SPLITS:
        truth = families(root, split)
        for row in read(root / f"{split}.jsonl"):
            shown = {media["modality"] for media in row["media"]}
            evidence = truth[row["id"]]["evidence"]
            if evidence in ("visual", "both", "either"):
                assert shown & {"image", "video"}
            if evidence in ("audio", "both", "either"):
                assert shown & {"audio", "video"}


def test_leaky_options_hold_one_digit(root):
    leaky = [
        row["options"]
        for row in rows(root)
        if "-shortcut-" in row["id"] and not all(option.isdigit() for option in row["options"])
    ]
    assert len(leaky) > 20
    assert all(sum(option.isdigit() for option in options) == 1 for options in leaky)


def test_media_options_come_in_the_order_of_their_options(root):
    asked = [row for row in rows(root) if "-media_options-" in row["id"]]
    assert asked
    for row in asked:
        assert len(row["options"]) == len(row["media"])
        assert {media["role"] for media in row["media"]} == {"option"}
        assert [text.split()[1] for text in row["options"]] == list("1234"[: len(row["media"])])
    others = [row for row in rows(root) if "-media_options-" not in row["id"]]
    assert not any("role" in media for row in others for media in row["media"])


def test_only_descriptions_say_what_to_imitate(root):
    """Only in splits that are imitated; elsewhere a completion would give the evidence away."""
    told = [row for split in SPLITS for row in read(root / f"{split}.jsonl") if "completion" in row]
    assert told
    for row in told:
        assert row["id"].startswith("warm-describe-")
        assert row["completion"] == row["answer"]


def test_one_digit_tells_little_about_a_sum():
    """Guess from the seen digit and the options as well as can be: right in about a third.

    Options always are neighbors, so they are known by their smallest. Four drawn from all sums
    that both digits allow would give the answer away in 73 % of cases.
    """
    rng = random.Random(0)
    known: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    for seen, spoken in np.ndindex(10, 10):
        for _ in range(200):
            low = min(map(int, totals(rng, seen + spoken)))
            known[seen, low][seen + spoken] += 1
    guessed = sum(counter.most_common(1)[0][1] for counter in known.values())
    assert 0.3 < guessed / (10 * 10 * 200) < 0.38


def test_comparisons_are_answered_truly():
    """Read the two digits off the media dealt; all three answers are about as frequent."""
    rng = np.random.default_rng(0)
    items = plan("val", AMOUNT, numbers=range(40), variants=["f1"], rng=rng)
    media, dice = MediaPool(items), random.Random(0)
    answers = Counter()
    for _ in range(300):
        draft = compare(media, dice)
        picture, clip = draft.items
        seen, spoken = picture.digit, clip.digits[0]
        if "smaller" in draft.question:
            seen, spoken = -seen, -spoken
        expected = "equal" if seen == spoken else "image" if seen > spoken else "spoken"
        assert draft.answer == expected
        answers[draft.answer] += 1
    assert min(answers.values()) > 75
