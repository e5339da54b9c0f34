"""Whole previews of small sets: the text, the page, and what is set aside."""

import json
import re
import shutil
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from configs.load import load_config
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from runtime.runs import open_run
from tests.datamodules.contribution.conftest import probed
from tests.datamodules.loading.conftest import noise, six_questions
from tests.datamodules.media.test_files import film
from training.preview.stage import PAGE, list_aside, preview, skipping, trained_as
from training.rejection_sampling import asked_questions, cache_file, key_facts

SAMPLING = "distill.rejection_sampling"
HOSTILE = '<script>alert("x")</script> & \u202e"barks"'
VOID = {"meta", "img", "br", "link", "input"}
MEDIA = {"audio": "1.wav", "image": "1.png", "video": "1.mp4"}


def row(name: str, modality: str = "audio", **fields: object) -> dict[str, object]:
    media = [{"modality": modality, "path": MEDIA[modality]}]
    asked = {"id": name, "question": f"Is it {name}?", "answer": "yes", "media": media}
    return asked | fields


ROWS = [
    row("a", question=HOSTILE, options=["<b>a cat</b>", "a dog"], answer="a dog"),
    row("b", "image", completion="It is long and <i>slanted</i>. <answer>yes</answer>"),
    row("c", "video"),
    row("d", media=[]),
    row("lost", media=[{"modality": "image", "path": "no.png"}]),
    row("spoiled", media=[{"modality": "audio", "path": "spoiled.wav"}]),
]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions of every kind of media; of one the file is missing, of another it is broken."""
    place, rng = tmp_path_factory.mktemp("asked"), np.random.default_rng(0)
    for file in ("1.png", "1.wav"):
        noise(place / file, rng)
    film(place / "1.mp4", frames=8, sound=0.8)
    (place / "spoiled.wav").write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    (place / "train.jsonl").write_text("".join(json.dumps(one) + "\n" for one in ROWS))
    return place


def run(root: Path, runs: Path, *words: str) -> tuple[str, str]:
    """Preview questions; return the text, with breaks of lines undone, and the page."""
    places = [f"data.root={root}", f"run.root={runs}", "run.name=a"]
    text = preview(load_config(["stage=preview", "data=manifest", *places, *words], ("preview",)))
    return " ".join(text.split()), (runs / "a" / PAGE).read_text()


@pytest.fixture(scope="module")
def seen(asked: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return run(asked, tmp_path_factory.mktemp("runs"))


class Elements(HTMLParser):
    """The elements of a page; all but void ones have to be closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs), f"{tag} runs something"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1

    def handle_data(self, data: str) -> None:
        self.text += data


def test_records_that_are_set_aside_are_counted_by_reason_with_the_first(seen):
    text, page = seen
    assert "records 6 usable 5" in text
    assert "missing lost (" in text and "unreadable spoiled (spoiled.wav) 1" in text
    assert "'no.png' is not in" in text and "'no.png' is not in" in Elements(page).text


def test_what_would_stop_the_training_is_said_in_its_own_words(seen):
    text, page = seen
    assert "THE TRAINING WOULD STOP: 2 of 6 records are bad (1 missing, 1 unreadable), but" in text
    assert "The training would stop: 2 of 6 records are bad" in Elements(page).text


def test_a_completion_that_is_too_long_would_stop_the_training(asked, tmp_path):
    text, _ = run(asked, tmp_path, "sft.max_completion_tokens=9", "data.max_bad_share=1")
    assert "1 of 5 completions are longer than sft.max_completion_tokens=9 tokens" in text
    assert "in an epoch 4" in text


def test_a_prompt_beyond_the_budget_would_stop_the_training(asked, tmp_path):
    text, _ = run(asked, tmp_path, "sft.pack_tokens=20", "data.max_bad_share=1")
    assert "a whole micro-batch may have sft.pack_tokens=20" in text


def test_the_page_is_whole_and_runs_and_loads_nothing(seen):
    found = Elements(seen[1])
    assert found.open == [] and found.counts["script"] == found.counts["iframe"] == 0
    assert found.counts["b"] == found.counts["article"] and found.counts["i"] == 0  # only our own
    assert found.addresses and all(address.startswith("data:") for address in found.addresses)
    assert "http" not in seen[1].replace("http-equiv", "")


def test_hostile_texts_are_shown_as_they_are(seen):
    page = seen[1]
    assert '<script>alert("x")</script> & \\u202e"barks"' in Elements(page).text
    assert "\u202e" not in page


def test_what_is_learned_is_marked_with_the_token_that_ends_it(seen):
    text, page = seen
    assert "+ <answer>a dog</answer><|im_end|>" in text
    [marked] = [part for part in page.split("<mark>") if "slanted" in part][:1]
    learned = Elements("<mark>" + marked.split("</mark>")[0] + "</mark>").text
    assert learned == "It is long and <i>slanted</i>. <answer>yes</answer><|im_end|>"


def test_the_page_has_every_number_of_the_text(seen):
    """Rows of tables, and the sizes of each question, where one is one picture."""
    text, page = seen
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    told = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in rows]
    told += re.findall(r'<p class="quiet">\w+ of train: (.*?)</p>', page)
    missing = [one for one in map(unescape, told) if one not in text]
    assert len(told) > 25 and not missing
    assert "1 picture, " in text and "1 pictures" not in text


def test_every_frame_has_its_time_and_every_sound_its_waveform(seen):
    found = Elements(seen[1])
    assert "8 frames of" in found.text and "0.00 s" in found.text and "0.70 s" in found.text
    assert found.counts["svg"] == found.counts["audio"] > 0


def test_a_sampled_completion_is_not_shown_as_learned(asked, tmp_path):
    words = ["preview.of=rlvr", "rlvr.reward.blind=0.5", "data.max_bad_share=1"]
    text, page = run(asked, tmp_path, *words)
    found = Elements(page)
    assert found.counts["mark"] == 0 and "+ <answer>" not in text
    assert "the model samples its completion from here" in found.text
    assert found.text.count("view blind") == found.counts["article"]


DISTILLED = ("preview.of=distill", "data.max_bad_share=1")


def test_a_distillation_without_traces_shows_prompts_and_says_what_is_sampled_first(
    asked, tmp_path
):
    """What the manifest has as completion of b is not imitated."""
    text, page = run(asked, tmp_path, *DISTILLED, f"{SAMPLING}.cache={tmp_path / 'traces'}")
    assert "8 traces of each question are sampled first" in text
    assert "the cache has those of 0 of 5 questions" in text
    assert Elements(page).counts["mark"] == 0 and "slanted" not in page
    assert not (tmp_path / "traces").exists()


def test_a_distillation_shows_the_traces_that_would_be_imitated(asked, tmp_path):
    """Of two traces of every question that can be read, F1 is off and the right ones are kept: one
    each of b, c and d, none of a."""
    words = (*DISTILLED, f"{SAMPLING}.cache={tmp_path / 'traces'}", f"{SAMPLING}.difficulty=false")
    places = [f"data.root={asked}", f"run.root={tmp_path}", "run.name=b", "data=manifest"]
    config = skipping(trained_as(load_config(["stage=preview", *places, *words], ("preview",))))
    with open_run(config) as own:
        questions = asked_questions(config, own)
    file = cache_file(config, key_facts(config, questions))
    file.parent.mkdir()
    said = ["I see it. <answer>yes</answer>", "<answer>no</answer>"]
    made = [
        {"id": one.id, "content_hash": one.content_hash, "texts": said, "finished": [True, True]}
        for one in questions.samples
        if one.id != "spoiled"
    ]
    file.write_text("".join(json.dumps(one) + "\n" for one in made))
    text, page = run(asked, tmp_path, *words)
    assert "in an epoch 3" in text and "+ I see it. <answer>yes</answer><|im_end|>" in text
    assert "sampled first" not in text and {"b#0", "c#0", "d#0"} == set(re.findall(r"\w#\d", text))
    assert "I see it." in Elements(page).text


def test_an_on_policy_distillation_shows_the_prompt_and_what_the_teacher_sees(asked, tmp_path):
    words = ("distill.method=on_policy", "distill.teacher_view.condition=text_only")
    text, page = run(asked, tmp_path, *DISTILLED, *words)
    found = Elements(page)
    assert found.counts["mark"] == 0 and "the student completes 100% of them itself" in text
    assert found.text.count("view teacher") == found.counts["article"]


def test_pictures_and_sounds_beyond_the_limit_are_named_in_words(asked, tmp_path):
    _, page = run(asked, tmp_path, "preview.megabytes=0", "data.max_bad_share=1")
    found = Elements(page)
    assert found.counts["img"] == found.counts["audio"] == 0
    assert "left out of the page: see preview.megabytes" in found.text


def test_without_a_usable_question_a_sentence_says_so(tmp_path):
    (tmp_path / "train.jsonl").write_text(json.dumps(ROWS[4]))
    text, page = run(tmp_path, tmp_path / "runs")
    assert "There is no question to train on: mend the records" in text
    assert "1 of 1 records are bad" in Elements(page).text


def test_no_weights_are_loaded(asked, tmp_path):
    """Those of this copy are another file's beginning and nothing else."""
    model = shutil.copytree("assets/tiny", tmp_path / "model")
    file = model / "model.safetensors"
    whole = file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    with file.open("r+b") as spoiled:
        spoiled.seek(8 + length)
        spoiled.write(b"\xff" * (len(whole) - 8 - length))  # NaN everywhere
    text, _ = run(asked, tmp_path, f"init_from={model}", "data.max_bad_share=1")
    assert "FIRST QUESTIONS" in text


def test_the_embedded_data_are_previewed_in_the_order_of_the_training(root, tmp_path):
    places = [f"data.root={root}", f"run.root={tmp_path}", "preview.n=2", "preview.measured=6"]
    text = preview(load_config(["stage=preview", *places], ("preview",)))
    assert "measured: 6 of 300 questions, evenly spread" in text
    assert "1,000 steps of 32 questions, 32,000 in all: 106.67 epochs of 300" in text


def test_a_rule_is_shown_with_what_it_keeps_and_lacking_answers_are_not_guessed(tmp_path):
    """q0 and q3 are answered blind; q5 has nothing to withhold: 4 of 6 are kept."""
    six_questions(tmp_path)
    rule = ["data.contribution.rule=vidground", "data.contribution.on_missing=probe"]
    with pytest.raises(ValueError, match=r"(?s)but it reads one.*stage=probe"):
        run(tmp_path, tmp_path / "runs", *rule)
    samples = read_manifest(tmp_path / "train.jsonl", tmp_path, Quarantine(max_bad_share=0))
    probed(tmp_path, {"q0": 1, "q1": 0, "q2": 0, "q3": 1, "q4": 0}, n=1, samples=samples)
    text, _ = run(tmp_path, tmp_path / "runs", *rule)
    assert "of these weak 2 of these strong 3 of these undefined 1 in an epoch 4" in text


def test_the_first_record_of_each_reason_is_kept(tmp_path):
    quarantine = Quarantine(max_bad_share=1.0)
    quarantine.add("a", "missing", "none", "train.jsonl:1")
    quarantine.add("b", "missing", "none either", "train.jsonl:2")
    quarantine.add("c", "bad_id", "no", "train.jsonl:3")
    [first, second] = list_aside(quarantine)
    assert (first.reason, first.count, first.id, first.detail) == ("missing", 2, "a", "none")
    assert (second.id, second.path) == ("c", "train.jsonl:3")
