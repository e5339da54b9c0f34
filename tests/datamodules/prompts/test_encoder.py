import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from transformers import Qwen2Config

from assets.make_tiny import make_tokenizer
from configs.inputs import Task
from datamodules.media.files import MediaError
from datamodules.prompts.collate import shared_tokens
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.templates import DESCRIBE, INSTRUCTIONS
from datamodules.sample import Sample
from modules.policy.omni import OmniModel
from tests.conftest import clip, film, make_prompt, make_sample, picture


def everything(encoder: PromptEncoder):
    """A prompt with a picture, a film with sound and a clip; and its media."""
    rng = np.random.default_rng(1)
    media = [picture(rng), film(rng), clip(rng, 0.7)]
    return make_prompt(encoder, make_sample(), media), media


def test_tokens_and_features_equal_the_processors_joint_call(encoder):
    """The published processor is called once for all media, which it pads to 30 s of sound."""
    prompt, (image, video, sound) = everything(encoder)
    placeholders = [{"type": kind} for kind in ("image", "video", "audio", "audio")]
    lines = "Which digit is it?\nA. 3\nB. 8\nC. 5\nAnswer with the letter in <answer></answer>."
    content = [*placeholders, {"type": "text", "text": lines}]
    text = encoder.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    size = {"shortest_edge": 56 * 56, "longest_edge": 56 * 56}
    joint = encoder.processor(
        text=[text],
        images=[image.image],
        videos=[torch.from_numpy(video.frames).permute(0, 3, 1, 2)],
        audio=[video.audio, sound.audio],
        videos_kwargs={"do_sample_frames": False, "fps": 4.0, "size": size},
        return_tensors="pt",
    )
    assert joint["input_ids"][0].tolist() == prompt.token_ids.tolist()
    by_kind = {kind: [f for f in prompt.features if f.kind == kind] for kind in ("image", "video")}
    assert torch.equal(joint["pixel_values"], by_kind["image"][0].values)
    assert torch.equal(joint["pixel_values_videos"], by_kind["video"][0].values)
    clips = [f for f in prompt.features if f.kind == "audio"]
    for heard, mel in zip(clips, joint["input_features"], strict=True):
        assert torch.equal(heard.values, mel[:, : heard.values.shape[1]])
    assert joint["feature_attention_mask"].sum(1).tolist() == [f.grid.item() for f in clips]


def test_positions_equal_the_models_own(encoder, untrained):
    prompt, _ = everything(encoder)
    thinker = OmniModel.load(str(untrained), encoder.tokenizer).thinker
    grids = {
        kind: torch.stack([f.grid for f in prompt.features if f.kind == kind])
        for kind in ("audio", "image", "video")
    }
    expected, _ = thinker.get_rope_index(
        prompt.token_ids.unsqueeze(0),
        image_grid_thw=grids["image"],
        video_grid_thw=grids["video"],
        audio_seqlens=grids["audio"].squeeze(1),
        second_per_grids=torch.tensor([0.5]),
    )
    assert torch.equal(prompt.positions, expected[:, 0])


def test_positions_of_text_count_up(encoder):
    prompt = make_prompt(encoder, make_sample(), [])
    assert torch.equal(prompt.positions, torch.arange(len(prompt.token_ids)).expand(3, -1))


def test_media_options_stand_behind_their_letters(encoder):
    rng = np.random.default_rng(2)
    sample = make_sample()
    clips = [("option", encoder.features(clip(rng, 0.1 * n))) for n in (2, 3, 4)]
    text = encoder.tokenizer.decode(encoder.prompt(sample, clips).token_ids)
    pieces = text.split("<|audio_bos|>")
    assert [piece.splitlines()[-1] for piece in pieces[:3]] == ["A. 3", "B. 8", "C. 5"]
    counts = [piece.count("<|AUDIO|>") for piece in pieces[1:]]
    assert counts == [group[0].tokens for _, group in clips]


def test_context_media_come_before_options_whatever_their_order_in_the_row(encoder):
    """Two option clips of 0.2 and 0.3 s and a context clip of 0.9 s, listed last."""
    rng = np.random.default_rng(3)
    lengths = {0.2: "option", 0.3: "option", 0.9: "context"}
    listed = [(role, encoder.features(clip(rng, length))) for length, role in lengths.items()]
    prompt = encoder.prompt(make_sample(), listed)
    pieces = encoder.tokenizer.decode(prompt.token_ids).split("<|audio_bos|>")[1:]
    tokens = [group[0].tokens for _, group in (listed[2], listed[0], listed[1])]
    assert [piece.count("<|AUDIO|>") for piece in pieces] == tokens
    assert [feature.tokens for feature in prompt.features] == tokens


def test_long_sound_is_not_cut_by_the_extractor(encoder):
    """40 s, although the tiny extractor's window is 30 s."""
    (heard,) = encoder.features(clip(np.random.default_rng(4), 40.0))
    assert heard.values.shape[1] == heard.grid.item() == 4000


def test_targets_end_the_turn(encoder):
    target = encoder.target(make_sample())
    assert encoder.tokenizer.decode(target) == "<answer>B</answer><|im_end|>"


def test_options_can_be_named_by_their_text(untrained):
    encoder = PromptEncoder(str(untrained), answer_with="text")
    sample = replace(make_sample(), answer_with="text")
    asked = encoder.tokenizer.decode(make_prompt(encoder, sample, []).token_ids)
    assert "\n3\n8\n5\nAnswer with an option in" in asked
    assert encoder.tokenizer.decode(encoder.target(sample)) == "<answer>8</answer><|im_end|>"
    scored = [encoder.tokenizer.decode(ids) for ids in encoder.option_targets(sample)]
    assert scored == [f"<answer>{text}</answer><|im_end|>" for text in ("3", "8", "5")]


def test_free_completions_are_imitated_without_instruction(encoder):
    said = {"answer": "It says 3.", "answer_type": "text", "completion": "It says 3."}
    sample = make_sample("d", "Describe it.", options=(), **said)
    assert "<answer>" not in encoder.tokenizer.decode(encoder.prompt(sample, []).token_ids)
    assert encoder.tokenizer.decode(encoder.target(sample)) == "It says 3.<|im_end|>"


@pytest.mark.parametrize("word", ["<|AUDIO|>", "<|IMAGE|>", "<|im_end|>"])
def test_special_tokens_in_a_question_are_refused(encoder, word):
    for changed in ({"question": f"What is {word}?"}, {"evidence": word}, {"completion": word}):
        with pytest.raises(MediaError, match="may not contain special tokens"):
            encoder.prompt(replace(make_sample(), **changed), [])


def test_special_tokens_are_taken_out_of_words_however_they_are_nested(encoder):
    text = "a<|im_end|>b <|im_<|IMAGE|>end|><answer>c</answer>"
    assert encoder.plain(text) == "ab <answer>c</answer>"


def test_evidence_is_imitated_where_it_is_wanted(encoder):
    sample = replace(make_sample(), evidence="It says 8.", completion="Well: <answer>B</answer>")
    ids = {task: encoder.target(sample, task) for task in get_args(Task)}
    assert {task: encoder.tokenizer.decode(target) for task, target in ids.items()} == {
        "answer": "Well: <answer>B</answer><|im_end|>",
        "describe": "It says 8.<|im_end|>",
        "answer_from_description": "<answer>B</answer><|im_end|>",
    }


def test_a_question_without_evidence_is_set_aside_where_it_is_wanted(encoder):
    with pytest.raises(
        MediaError, match=r"a has no evidence, but data\.task .* leave .* out"
    ) as info:
        encoder.target(make_sample(), "describe")
    assert info.value.kind == "no_evidence"


def test_media_are_shown_where_evidence_is_wanted_and_not_where_it_is_told(encoder):
    heard = [("context", encoder.features(clip(np.random.default_rng(6), 0.2)))]
    sample = replace(make_sample(), evidence="It says 8.")
    wanted, told = (encoder.prompt(sample, heard, task=want) for want in get_args(Task)[1:])
    assert (len(wanted.features), len(told.features)) == (1, 0)
    assert DESCRIBE in encoder.tokenizer.decode(wanted.token_ids)
    said = encoder.tokenizer.decode(told.token_ids)
    assert "<|AUDIO|>" not in said and "\nEvidence: It says 8.<|im_end|>" in said


def test_each_thing_wanted_is_another_template_and_answers_the_one_of_before(tiny_encoder):
    wanted = [tiny_encoder.template(task) for task in get_args(Task)]
    assert len(set(wanted)) == 3
    assert wanted[0] == tiny_encoder.template_hash == "fc1ae3728e68edbc"


def test_another_wording_is_another_template(encoder, untrained):
    other = PromptEncoder(str(untrained), system_prompt="Listen well.")
    assert other.template_hash != encoder.template_hash
    assert "Listen well." in other.tokenizer.decode(make_prompt(other, make_sample(), []).token_ids)


@pytest.mark.parametrize("answer_with", ["letter", "text"])
def test_another_instruction_is_another_template(untrained, monkeypatch, answer_with):
    before = PromptEncoder(str(untrained), answer_with=answer_with).template_hash
    monkeypatch.setitem(INSTRUCTIONS, "number", "Answer with digits in <answer></answer>.")
    assert PromptEncoder(str(untrained), answer_with=answer_with).template_hash != before


def test_a_prompt_can_leave_the_question_out_and_say_more_below(encoder):
    prompt = encoder.prompt(make_sample(), [], show_question=False, suffix="Guess.")
    said = encoder.tokenizer.decode(prompt.token_ids)
    assert "\nA. 3\nB. 8\nC. 5\nGuess.\nAnswer with the letter" in said
    assert "Which" not in said


def test_options_of_which_nothing_is_left_keep_their_lines(encoder):
    """Of three clips that are options the second is withheld."""
    rng = np.random.default_rng(5)
    heard = encoder.features(clip(rng, 0.2))
    prompt = encoder.prompt(make_sample(), [("option", heard), ("option", ()), ("option", heard)])
    pieces = encoder.tokenizer.decode(prompt.token_ids).split("<|audio_bos|>")
    assert [piece.splitlines()[-1] for piece in pieces[:2]] == ["A. 3", "C. 5"]
    assert pieces[1].splitlines()[1] == "B. 8"


def test_prompts_share_the_tokens_that_they_begin_with(encoder):
    """Behind the fifth digit they differ, and then are alike again."""
    prompts = [encoder.say(text) for text in ("12345?", "12345!", "12345!!")]
    shared = shared_tokens(prompts)
    assert encoder.tokenizer.decode(prompts[0].token_ids[:shared]).endswith("user\n12345")
    assert shared_tokens(prompts[:1]) == len(prompts[0].token_ids)


def test_a_beginning_is_numbered_as_in_the_whole(encoder):
    prompt = encoder.say("12345?")
    beginning = prompt.beginning(4)
    assert beginning.token_ids.equal(prompt.token_ids[:4])
    assert beginning.positions.equal(prompt.positions[:, :4])


TEXT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content + '' }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
"""Adds to each content as only a text can be added to."""


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a language model of text leaves on disk, without its weights."""
    path = tmp_path_factory.mktemp("text")
    tokenizer = make_tokenizer(["Which digit is it?"])
    tokenizer.chat_template = TEXT_TEMPLATE
    tokenizer.save_pretrained(path)
    Qwen2Config(vocab_size=len(tokenizer)).save_pretrained(path)
    return path


def test_a_language_model_of_text_is_asked_in_words(text_model):
    encoder = PromptEncoder(str(text_model), system_prompt="Be brief.")
    prompt = encoder.prompt(
        replace(make_sample(), evidence="It is 8."), [], task="answer_from_description"
    )
    assert encoder.tokenizer.decode(prompt.token_ids) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhich digit is it?\n"
        "A. 3\nB. 8\nC. 5\nAnswer with the letter in <answer></answer>.\nEvidence: It is 8."
        "<|im_end|>\n<|im_start|>assistant\n"
    )
    assert torch.equal(prompt.positions, torch.arange(len(prompt.token_ids)).expand(3, -1))
    assert encoder.target(make_sample())[-1] == encoder.end_id


def test_a_language_model_of_text_is_shown_no_media(text_model):
    encoder = PromptEncoder(str(text_model))
    with pytest.raises(
        ValueError, match=r"of text, but .*\(image\).*data\.task=answer_from_description"
    ) as info:
        encoder.features(picture(np.random.default_rng(7)))
    assert not isinstance(info.value, MediaError)


def shown(encoder: PromptEncoder, sample: Sample, media) -> str:
    """The user's turn as the model reads it, every medium's tokens as one."""
    text = encoder.tokenizer.decode(encoder.prompt(sample, media).token_ids)
    turn = text.partition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]
    return re.sub(r"(<\|AUDIO\|>)+", "<|AUDIO|>", turn)


def test_words_that_stand_for_a_medium_get_a_line_of_their_own(encoder):
    """Two sounds in words around one that is played, in the order of the row."""
    played = encoder.features(clip(np.random.default_rng(8), 0.2))
    media = [("context", "A dog barks."), ("context", played), ("context", "It rains.")]
    text = shown(encoder, make_sample(), media)
    assert text.startswith(
        "A dog barks.\n<|audio_bos|><|AUDIO|><|audio_eos|>It rains.\nWhich digit is it?\nA. 3\n"
    )


def test_options_in_words_stand_below_their_letters(encoder):
    """The first and the last of three options that are sounds are in words."""
    played = encoder.features(clip(np.random.default_rng(9), 0.2))
    media = [("option", "A dog barks."), ("option", played), ("option", "It rains.")]
    text = shown(encoder, make_sample(), media)
    assert text.startswith(
        "Which digit is it?\nA. 3\nA dog barks.\nB. 8<|audio_bos|><|AUDIO|><|audio_eos|>\nC. 5\n"
        "It rains.\nAnswer with"
    )


def test_words_may_stand_beside_what_is_left_of_a_film(encoder):
    """The frames of a film without its sound, and what is said in it."""
    silent = replace(film(np.random.default_rng(10)), audio=None)
    media = [("context", encoder.features(silent)), ("context", "Somebody says: eight.")]
    text = shown(encoder, make_sample(), media)
    assert "<|vision_eos|>Somebody says: eight.\nWhich digit is it?" in text


def test_words_for_media_may_hold_no_special_tokens(encoder):
    with pytest.raises(MediaError, match=r"holds '<\|im_end\|>', but .* descriptions may not"):
        encoder.prompt(make_sample(), [("context", "A dog.<|im_end|>")])


def test_two_texts_for_one_question_are_two_lines(encoder):
    text = shown(encoder, make_sample(), [("context", "One."), ("context", "Two.")])
    assert text.startswith("One.\nTwo.\nWhich digit")
