"""The embedded digits set, built small: what its files hold, and that its truth is true."""

import dataclasses
import errno
import json
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from datamodules.digits.build import VERSION, Sizes, build, ensure
from datamodules.digits.media_pool import MediaPool, ShuffledPool, plan
from datamodules.digits.pictures import PICTURES, SIDE, Picture
from datamodules.digits.question_draft import totals
from datamodules.digits.questions import compare
from datamodules.digits.speech import ACCENTS, Voice, espeak, speakers
from datamodules.sample import ANSWER_TYPES, LETTERS
from tests.small_digits import AMOUNT, SMALL, SPLITS

FAMILIES = {
    "text", "shortcut", "see", "hear", "either", "pair", "sum", "compare", "same", "order", "film",
    "media_options", "sound", "set", "larger",
}  # fmt: skip

Row = dict  # of JSON, whose values are of any type


def read(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def rows(root: Path) -> list[Row]:
    return [row for file in sorted(root.glob("*.jsonl")) for row in read(file)]


def families(root: Path, split: str) -> dict[str, Row]:
    return {row["id"]: row for row in read(root / "truth" / f"{split}.jsonl")}


def paths(row: Row) -> list[str]:
    return [media["path"] for media in row["media"]]


def test_splits_share_no_picture_and_no_voice(root):
    owner = {}
    for split in SPLITS:
        for row in read(root / f"{split}.jsonl"):
            kind, _, name = row["asset_id"].partition("-")
            if kind == "voice":
                name = name.split("+")[1]  # the speaker, whatever the accent
            assert owner.setdefault((kind, name), split) == split, row["asset_id"]
    assert {kind for kind, _ in owner} == {"image", "voice", "sound", "text"}


def test_splits_share_no_speaker_under_two_names():
    people = [set(variants) for variants in speakers()]
    assert sum(map(len, people)) == len(set.union(*people))
    assert {"iven", "iven2", "iven3", "iven4"} in people
    assert {"f1"} in people and {"m3"} in people


def test_media_come_from_the_split_that_asks(root):
    for split in SPLITS:
        for row in read(root / f"{split}.jsonl"):
            assert all(path.startswith(f"media/{split}/") for path in paths(row))


def test_every_file_named_exists(root):
    named = {path for row in rows(root) for path in paths(row)}
    assert named and all((root / path).is_file() for path in named)


def test_pictures_decode_to_squares_in_color(root):
    files = sorted(root.glob("media/*/image/*.png"))
    assert files
    for file in files:
        with Image.open(file) as image:
            assert (image.size, image.mode) == ((SIDE, SIDE), "RGB")
            assert np.asarray(image).std() > 10


def test_sounds_decode_to_one_channel_that_is_heard(root):
    files = sorted([*root.glob("media/*/audio/*.flac"), *root.glob("media/*/audio/*.wav")])
    assert {file.suffix for file in files} == {".flac", ".wav"}
    for file in files:
        samples, rate = soundfile.read(file)
        assert (samples.ndim, rate) == (1, 16_000)
        assert 0.01 < np.abs(samples).max() <= 1


def test_clips_are_short(root):
    """One digit lasts 0.25 to 0.8 seconds; two in order (index 20 and up) under 1.6."""
    for split in SPLITS:
        files = sorted((root / "media" / split / "audio").glob("?????.flac"))
        seconds = [soundfile.info(file).duration for file in files]
        assert len(seconds) == 24
        assert all(0.25 <= length <= 0.8 for length in seconds[:20])
        assert all(0.5 < length < 1.6 for length in seconds[20:])


def test_films_decode_to_frames_and_sound(root):
    files = sorted(root.glob("media/*/video/*.mp4"))
    assert files
    for file in files:
        with av.open(str(file)) as film:
            seen = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        with av.open(str(file)) as film:
            heard = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
            assert film.streams.audio[0].rate == 16_000
        assert np.stack(seen).shape == (8, SIDE, SIDE, 3)
        assert 32_000 <= len(heard) <= 33_024 and heard.std() > 0


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


def test_counts_are_recorded(root):
    about = json.loads((root / "digits.json").read_text())
    assert (about["version"], about["seed"]) == (VERSION, 0)
    for split in (*SPLITS, "annotated"):
        truth = families(root, split).values()
        assert about["counts"][split] == Counter(row["family"] for row in truth)
        assert len(truth) == (500 if split == "annotated" else 300)


def test_the_same_seed_builds_the_same_bytes(root, tmp_path):
    """Whatever the number of workers: speech depends on its process's past, which is fixed."""
    build(tmp_path, sizes=SMALL, workers=3)
    files = sorted(file.relative_to(root) for file in root.rglob("*") if file.is_file())
    assert files == sorted(f.relative_to(tmp_path) for f in tmp_path.rglob("*") if f.is_file())
    different = [f for f in files if (root / f).read_bytes() != (tmp_path / f).read_bytes()]
    assert not different


def test_another_seed_plans_other_media():
    def planned(seed):
        rng = np.random.default_rng(seed)
        return plan("val", AMOUNT, numbers=range(20), variants=["f1", "m1"], rng=rng)

    assert planned(1) == planned(1)
    assert planned(1) != planned(2)


def test_ensure_leaves_a_current_set_alone(root):
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*")}
    ensure(root, sizes=SMALL)
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*")} == before


def test_ensure_replaces_another_version(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "digits.json").write_text(json.dumps({"version": VERSION - 1}))
    (folder / "old.jsonl").touch()
    (folder / "traces").mkdir()
    (folder / "traces" / "sampled.jsonl").touch()
    ensure(folder, sizes=SMALL)
    assert (folder / "traces" / "sampled.jsonl").exists()
    assert json.loads((folder / "digits.json").read_text())["version"] == VERSION
    assert not (folder / "old.jsonl").exists()
    assert [file.name for file in tmp_path.iterdir()] == ["digits"]


def test_ensure_clears_away_what_kills_left_of_it_and_nothing_else(tmp_path):
    for name in ("digits.9-00c0ffee.tmp", "digits.tmp", "thesis.9-00c0ffee.tmp"):
        (tmp_path / name).mkdir()
    ensure(tmp_path / "digits", sizes=SMALL)
    found = sorted(file.name for file in tmp_path.iterdir())
    assert found == ["digits", "digits.tmp", "thesis.9-00c0ffee.tmp"]


@pytest.fixture
def midway(monkeypatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen while the processes of a build are at work."""

    def set_(happens: Callable[[], object]) -> None:
        class Pool(ProcessPoolExecutor):
            def map(self, *arguments: Any, **named: Any) -> Iterator[Any]:
                results = super().map(*arguments, **named)
                happens()
                return results

        monkeypatch.setattr("datamodules.digits.build.ProcessPoolExecutor", Pool)

    return set_


@pytest.mark.parametrize("stopped", [False, True])
def test_a_signal_ends_a_build_and_its_processes_and_leaves_nothing(tmp_path, midway, stopped):
    def signalled() -> None:
        time.sleep(1.0)
        for process in active_children() if stopped else ():
            os.kill(process.pid, signal.SIGSTOP)
        raise SystemExit(143)

    midway(signalled)
    began = time.monotonic()
    with pytest.raises(SystemExit):
        ensure(tmp_path / "digits")
    assert time.monotonic() - began < 40 and not active_children()
    assert [*tmp_path.iterdir()] == []


def test_a_process_that_is_killed_ends_a_build_with_a_sentence(tmp_path, midway):
    midway(lambda: active_children()[0].kill())
    with pytest.raises(ValueError, match="was ended from outside, but each has to write its share"):
        ensure(tmp_path / "digits", sizes=SMALL)
    assert [*tmp_path.iterdir()] == []


def test_a_full_disk_is_told_by_the_place_that_the_set_will_have(tmp_path, monkeypatch):
    def full(root: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "full", str(root / "media" / "a.png"))

    monkeypatch.setattr("datamodules.digits.build.write_media", full)
    with pytest.raises(OSError, match="full") as caught:
        ensure(tmp_path / "digits", sizes=SMALL)
    assert caught.value.filename == str(tmp_path / "digits" / "media" / "a.png")


def test_ensure_deletes_no_folder_of_others(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds files but no digits\.json.*choose another folder"):
        ensure(tmp_path, sizes=SMALL)
    assert (tmp_path / "thesis.tex").exists()


def test_a_crash_leaves_no_root(tmp_path):
    """Without films the questions about them cannot be asked, long after media were written."""
    broken = dataclasses.replace(AMOUNT, videos=0, pictures=10, drawings=1)
    with pytest.raises(IndexError):
        ensure(tmp_path / "digits", sizes=Sizes(splits={"test": broken}))
    assert list(tmp_path.iterdir()) == []


def test_sizes_beyond_the_originals_are_refused():
    greedy = dataclasses.replace(AMOUNT, pictures=PICTURES + 1)
    with pytest.raises(ValueError, match=f"ask for {PICTURES + 1} pictures.*ask for fewer"):
        Sizes(splits={"train": greedy})


def test_an_unknown_voice_is_refused():
    """espeak-ng itself would go on in the voice before."""
    with pytest.raises(ValueError, match=r"no voice 'en-mars\+f1'.*choose one of speakers"):
        espeak().say("one", Voice(accent="en-mars", variant="f1"), speed=150, pitch=50, melody=50)


def test_every_accent_is_known():
    for accent in ACCENTS:
        voice = Voice(accent=accent, variant="m1")
        word = espeak().say("three", voice, speed=150, pitch=50, melody=50)
        assert 2_000 < len(word) < 12_800


def test_a_deck_deals_all_before_any_twice():
    items = [Picture(path=str(i), asset="", seed=i, digit=0, ink=bytes(64)) for i in range(7)]
    pool, rng = ShuffledPool(items), random.Random(3)
    rounds = [[pool.draw(rng) for _ in items] for _ in range(2)]
    assert all(set(dealt) == set(items) for dealt in rounds)
    assert rounds[0] != rounds[1]


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
