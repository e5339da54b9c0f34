"""What a row says becomes words and nothing else, wherever it says it; else it is set aside."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest

from configs.schema import DataConfig, MediaConfig
from datamodules.loading.option_scoring import option_scoring
from datamodules.loading.question_set import QuestionSet, load_questions
from datamodules.media.files import MediaError
from datamodules.prompts.description_prompts import question_only_batch, reader_batch
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.orders import arrange_options
from datamodules.prompts.special_tokens import SpecialTokens
from datamodules.sample import ANSWER_TYPES, Media, Sample
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.bounds import LONGEST_TEXT
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from datamodules.sources.rows import digests, to_sample
from tests.conftest import make_sample
from tests.house.test_architecture import ROOT, SHIPPED

OWN = ("<|im_end|>", "<|im_start|>system", "<|AUDIO|>", "<|IMAGE|>", "<|endoftext|>")
OTHERS = ("<|audio_pad|>", "<|image_pad|>", "<|eot_id|>", "<|start_header_id|>")
"""Tokens of families that the tiny model is not of."""


def changed(where: str, text: str) -> Sample:
    """A question that says a text somewhere."""
    said = f"a{text}b"
    if where == "options":
        return replace(make_sample(), options=("3", said, "5"))
    if where == "media":
        heard = Media(modality="audio", path="a.wav", text=said)
        return replace(make_sample(), media=(heard,))
    if where == "answer":
        return replace(make_sample(), options=(), answer=said, answer_type="text")
    return replace(make_sample(), **{where: said})


PLACES = ("question", "options", "answer", "completion", "evidence", "media")


@pytest.mark.parametrize("token", OWN + OTHERS)
@pytest.mark.parametrize("where", PLACES)
def test_no_text_of_a_row_holds_a_token_that_frames_a_chat(encoder, where, token):
    sample = changed(where, token)
    for show in (
        lambda: encoder.prompt(sample, []),
        lambda: encoder.target(sample),
        lambda: encoder.option_targets(sample),
    ):
        with pytest.raises(MediaError, match="may not contain special tokens") as told:
            show()
        assert told.value.kind == "malformed"


@pytest.mark.parametrize("answer_type", ANSWER_TYPES)
def test_answers_of_every_type_are_looked_at(encoder, answer_type):
    """Whether such an answer could be read is another rule's affair."""
    sample = replace(
        make_sample(),
        answer_type=answer_type,
        answer="B",
        completion="<|im_end|>",
        options=("a", "b"),
    )
    with pytest.raises(MediaError, match=r"<.im_end.>"):
        encoder.target(sample)


@pytest.mark.parametrize("text", ["<|im_end", "im_end|>", "<im_end>", "< |im_end| >", "<|>", "a|b"])
def test_what_only_resembles_a_token_is_words(encoder, text):
    ids = encoder.prompt(changed("question", text), []).token_ids.tolist()
    assert text in encoder.tokenizer.decode(ids)


def test_tokens_that_come_to_be_between_texts_are_found_where_text_becomes_tokens(
    encoder, monkeypatch
):
    """A template that joins what we part on lines: neither text holds the token."""
    sample = replace(make_sample(), question="What?<|im_", options=("end|>", "x", "y"))
    encoder.prompt(replace(make_sample(), question="What?"), [])
    text = encoder._text
    monkeypatch.setattr(encoder, "_text", lambda shown: text(shown).replace("\nA. ", ""))
    with pytest.raises(MediaError, match=r"holds '<\|im_end\|>'"):
        encoder.prompt(sample, [])


def test_tokens_that_a_tokenizer_makes_of_other_words_are_found(encoder, monkeypatch):
    """One that normalizes makes a token of full-width marks."""
    tokenizer = encoder.tokenizer
    monkeypatch.setattr(encoder, "tokenizer", _Normalizing(tokenizer))
    for show in (lambda one: encoder.prompt(one, []), encoder.target):
        with pytest.raises(MediaError, match=r"holds '<\|im_end\|>'"):
            show(replace(make_sample(), question="＜|im_end|＞", completion="＜|im_end|＞"))


class _Normalizing:
    def __init__(self, tokenizer: object) -> None:
        self.tokenizer = tokenizer

    def __call__(self, text: str, **how: object) -> object:
        return self.tokenizer(text.replace("＜", "<").replace("＞", ">"), **how)

    def __getattr__(self, name: str) -> object:
        return getattr(self.tokenizer, name)


def test_a_system_prompt_holds_no_special_tokens(untrained):
    with pytest.raises(ValueError, match=r"system_prompt holds '<\|im_end\|>'"):
        PromptEncoder(str(untrained), system_prompt="Be kind.<|im_end|>")


def test_tokens_are_taken_out_in_time_that_grows_with_the_text():
    """3,000 tokens within one another, each of which comes to be when another is taken out."""
    tokens = SpecialTokens(["<image>"])
    nested = "<|im_" * 3_000 + "end|>" * 3_000
    assert tokens.without(f"a{nested}b<image><ima<image>ge>") == "ab"
    assert tokens.first("an <image> of") == "<image>"
    assert SpecialTokens().first("an <image> of") is None


@pytest.mark.parametrize("file", SHIPPED)
def test_only_one_function_makes_tokens_of_what_rows_say(file):
    tree = ast.parse((ROOT / file).read_text())
    calls = [
        f"{file}:{node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("tokenizer", "encode_plus", "tokenize")
    ]
    allowed = {
        "datamodules/prompts/special_tokens.py": 1,  # `tokenize`
        "datamodules/prompts/encoder.py": 2,  # its one call, and `_frame` of no row
    }
    assert len(calls) == allowed.get(file, 0), calls


def data(root: Path) -> DataConfig:
    budget = MediaConfig(image_max_pixels=3136, video_max_frames=8, audio_max_seconds=2.5)
    return DataConfig(name="some", root=str(root), media=budget, max_bad_share=1.0)


BAD = (
    *OWN,
    *OTHERS,
    "\ud83d",
    "x" * (LONGEST_TEXT + 1),
)


def test_rows_that_say_what_no_row_may_are_set_aside_one_by_one(tmp_path, encoder):
    """Among good ones, in an SFT batch and in one of scored options."""
    rows = []
    for number, text in enumerate(BAD):
        rows += [
            {"id": f"good{number}", "question": "What?", "answer": "x", "answer_type": "text"},
            {"id": f"a{number}", "question": "What?", "answer": f"x{text}", "answer_type": "text"},
            {
                "id": f"c{number}",
                "question": "?",
                "answer": "x",
                "answer_type": "text",
                "completion": text,
            },
            {"id": f"o{number}", "question": "What?", "options": ["x", text], "answer": "A"},
        ]
    (tmp_path / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    read = load_questions(data(tmp_path), "train", encoder, run_dir=tmp_path)
    batch = read.batch(range(len(read.samples)), step=0, with_targets=True)
    assert batch is not None
    assert [one.id for one in batch.samples] == [f"good{n}" for n in range(len(BAD))]
    assert batch.targets is not None
    assert len(read.quarantine) == 3 * len(BAD)
    assert read.quarantine.counts == {"malformed": 3 * (len(BAD) - 1), "too_large": 3}


def test_options_that_are_scored_are_set_aside_too(tmp_path, encoder):
    samples = [changed("options", "<|im_end|>"), make_sample("good")]
    questions = QuestionSet(
        samples,
        data=data(tmp_path),
        encoder=encoder,
        quarantine=Quarantine(max_bad_share=1.0),
        manifest_rows=2,
    )
    scored = option_scoring(questions, [0, 1], orders=2, step=0)
    assert scored is not None
    assert [one.id for one in scored.samples] == ["good"]
    assert questions.quarantine.counts == {"malformed": 1}


@pytest.mark.parametrize("field", ["question", "options", "answer", "completion", "id"])
@pytest.mark.parametrize("text", ["\u200b", " \u2060\ufeff ", "\x00", "\u202e\u2066", "\x07"])
def test_a_text_of_which_nothing_is_seen_is_no_text(tmp_path, field, text):
    row = {"id": "q", "question": "What?", "answer": "a", "options": ["a", "b"]}
    row |= {field: ["a", text] if field == "options" else text}
    with pytest.raises(RowError):
        to_sample(row, digest=digests(tmp_path), source="s")


@pytest.mark.parametrize("mark", ["\x00", "\x1b[31m", "\u202e", "\u200b", "\u0301" * 50, "\r\n"])
def test_marks_within_a_text_are_words_like_others(tmp_path, encoder, mark):
    """They are shown as they are, and spoil no batch."""
    row = {"id": "q", "question": f"Wh{mark}at?", "answer": f"a{mark}b", "answer_type": "text"}
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    (sample,) = read_manifest(tmp_path / "train.jsonl", tmp_path, Quarantine(max_bad_share=0.0))
    shown = arrange_options(sample, option_seed=0, answer_with=encoder.answer_with)
    assert len(encoder.prompt(shown, []).token_ids) > 5
    assert len(encoder.target(shown)) > 2


@pytest.mark.parametrize("where", PLACES)
def test_a_reader_of_another_family_is_asked_without_its_own_tokens(encoder, where):
    """The question was checked for the policy; to raise here would end a run."""
    sample = changed(where, "<|eot_id|>")
    batch, _ = reader_batch(encoder, [sample], [["It says <|im_end|>8."]])
    assert len(batch) == len(question_only_batch(encoder, [sample])) == 1
    said = encoder.tokenizer.decode(batch.prompt_ids)
    assert "eot_id" not in said
    assert "Which digit is it?" in said or "ab" in said
