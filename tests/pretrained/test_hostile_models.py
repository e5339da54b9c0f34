"""Model directories of strangers: nothing in them runs, and what is wrong is told by its place."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants as hub
import pytest

from datamodules.prompts.encoder import PromptEncoder
from modules.policy.omni import OmniModel
from modules.policy.vocabulary import Vocabulary
from pretrained.loading import open_config, open_processor
from pretrained.settings import check_settings
from pretrained.spelling import open_tokenizer
from recipes.lengths import Unmeasured, _counter
from tests.house.test_architecture import ROOT
from tests.pretrained.conftest import put, refusal

TINY = Path("assets/tiny")
CODE = """
import os
open(os.environ["PROOF"], "w").write("ran")
from transformers import PretrainedConfig
class Evil(PretrainedConfig):
    model_type = "evil"
"""


MAPS = {
    "config.json": {"AutoConfig": "evil.Evil"},
    "processor_config.json": {"AutoProcessor": "evil.Evil"},
    "preprocessor_config.json": {"AutoProcessor": "evil.Evil"},
    "video_preprocessor_config.json": {"AutoVideoProcessor": "evil.Evil"},
    "tokenizer_config.json": {"AutoTokenizer": [None, "evil.Evil"]},
    "generation_config.json": {"AutoConfig": "somebody/else--evil.Evil"},
}


@pytest.mark.parametrize("deep", [(), ("text_config",), ("text_config", "within")])
@pytest.mark.parametrize("file", MAPS)
def test_what_names_code_is_refused(model, words, file, deep):
    put(model / file, *deep, "auto_map", MAPS[file])
    assert f"{file} asks for code of its own (auto_map" in refusal(model, words)


@pytest.mark.parametrize(
    ("file", "key", "value", "told"),
    [
        ("generation_config.json", "custom_generate", "evil", "asks for code"),
        ("adapter_config.json", "base_model_name_or_path", "/elsewhere", "adapters of other"),
        ("config.json", "_attn_implementation", "evil/kernel", "a kernel of the hub"),
        ("config.json", "transformers_weights", "../x.safetensors", "another file of weights"),
        ("config.json", "quantization_config", {"quant_method": "gptq"}, "nothing can be trained"),
        ("processor_config.json", "audio_tokenizer", {"a": 1}, "another model beside"),
        ("tokenizer_config.json", "fast_tokenizer_files", ["../x.json"], "another tokenizer"),
    ],
)
def test_what_leads_elsewhere_is_refused(model, words, file, key, value, told):
    put(model / file, key, value)
    assert told in refusal(model, words)


def test_no_code_runs_whatever_the_terminal_and_the_environment_say(model, tmp_path):
    """As with `yes |` in front, where transformers would ask whether it may."""
    (model / "evil.py").write_text(CODE)
    put(model / "config.json", "auto_map", {"AutoConfig": "evil.Evil"})
    put(model / "config.json", "model_type", "evil")
    code = """
import sys
from datamodules.prompts.encoder import PromptEncoder
from modules.policy.omni import OmniModel
for opened in (PromptEncoder, lambda path: OmniModel.load(path, None)):
    try:
        opened(sys.argv[1])
    except ValueError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)],
        input="y\n" * 100,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PROOF": str(tmp_path / "proof"), "TRUST_REMOTE_CODE": "1"},
        timeout=300,
    )
    assert done.stdout.count("asks for code of its own") == 2, done.stderr
    assert "[y/N]" not in done.stdout + done.stderr
    assert not (tmp_path / "proof").exists()


FILES = (
    *("config.json", "processor_config.json", "preprocessor_config.json"),
    *("generation_config.json", "tokenizer_config.json", "special_tokens_map.json"),
)
BROKEN = {
    "cut": "{",
    "a list": "[]",
    "nothing": "",
    "null": "null",
    "deep": "[" * 100_000,
    "NaN": '{"a": NaN}',
    "no number": '{"a": 1e999}',
    "long number": '{"a": ' + "9" * 5000 + "}",
    "no text": "\xff\xfe\x00",
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("file", FILES)
def test_damaged_settings_are_told_by_name(model, words, file, how):
    (model / file).write_bytes(BROKEN[how].encode("latin-1"))
    assert f"{file} cannot be used" in refusal(model, words)


@pytest.mark.parametrize("how", [name for name in BROKEN if name not in ("NaN", "no number")])
def test_a_damaged_tokenizer_is_told_by_name(model, words, how):
    (model / "tokenizer.json").write_bytes(BROKEN[how].encode("latin-1"))
    assert "tokenizer" in refusal(model, words)
    with pytest.raises(ValueError, match=r"model/tokenizer\.json cannot be used"):
        open_tokenizer(model)


def test_what_would_be_read_for_ever_is_refused(model, words):
    os.mkfifo(model / "special_tokens_map.json")
    assert "special_tokens_map.json is a named pipe" in refusal(model, words)
    (model / "special_tokens_map.json").unlink()
    (model / "merges.txt").symlink_to("/dev/zero")
    assert "merges.txt is a device" in refusal(model, words)


@pytest.mark.parametrize(("name", "size"), [("tokenizer.json", 1 << 29), ("x.jinja", 1 << 25)])
def test_files_that_are_too_large_are_not_read(model, words, name, size):
    with (model / name).open("wb") as file:
        file.truncate(size)
    assert f"{name} holds {size:,} bytes" in refusal(model, words)


HUGE = 10**9
ABSURD = {
    "config.json": [
        *(
            (("text_config", "hidden_size"), value)
            for value in (HUGE, 10**30, -1, 0, "x", None, [1])
        ),
        *((("text_config", "num_hidden_layers"), value) for value in (10**10, 2001, -1, "x")),
        *((("text_config", "vocab_size"), value) for value in (10**10, HUGE, -5, "x")),
        *((("text_config", "num_attention_heads"), value) for value in (5, 0, -1, HUGE)),
        *((("text_config", "num_key_value_heads"), value) for value in (4, 0, -1)),
        *((("text_config", "rope_parameters"), value) for value in ([], {"rope_type": "who"})),
        *((("text_config", "hidden_act"), value) for value in ("who", 3)),
        *((("text_config", "layer_types"), value) for value in (["who"] * 4, 3)),
        *((("text_config", "dtype"), value) for value in ("float99",)),
        (("audio_config", "max_source_positions"), HUGE),
        (("audio_config", "encoder_layers"), 10**7),
        (("audio_config", "d_model"), HUGE),
        (("vision_config", "depth"), 10**8),
        *((("vision_config", "patch_size"), value) for value in (0, -1, HUGE)),
        (("vision_config", "num_heads"), 5),
        (("vision_config",), "x"),
        *((("model_type",), value) for value in (3, None, "who", "bert", ["x"])),
    ],
    "processor_config.json": [
        *((("feature_extractor", "n_fft"), value) for value in (HUGE, 0, "x")),
        *((("feature_extractor", "hop_length"), value) for value in (0, "x")),
        *((("feature_extractor", "sampling_rate"), value) for value in (0, 10**12)),
        *((("image_processor", "patch_size"), value) for value in (0, 10**7, "x")),
        (("image_processor", "size"), {"shortest_edge": 10**13, "longest_edge": 10**14}),
        (("image_processor", "size"), 3),
        (("image_processor", "image_mean"), ["x"]),
        (("image_processor", "temporal_patch_size"), HUGE),
        (("image_processor", "image_processor_type"), "Nobody"),
        (("feature_extractor",), 3),
        *((("processor_class",), value) for value in ("Nobody", "LlavaProcessor", 3)),
    ],
}


@pytest.mark.parametrize(
    ("file", "keys", "value"),
    [(file, *change) for file, changes in ABSURD.items() for change in changes],
)
def test_absurd_settings_are_refused_before_there_is_memory_for_them(
    model, words, file, keys, value
):
    put(model / file, *keys, value)
    refusal(model, words)


def test_a_tokenizer_must_not_know_more_tokens_than_the_model(model):
    put(model / "tokenizer.json", "model", "vocab", "zzz", 100_000)
    with pytest.raises(ValueError, match="knows token 100000, but the model has 526 rows"):
        Vocabulary(PromptEncoder(str(model)).tokenizer).suppressed_mask(526)


def test_a_plan_tells_damaged_models_like_a_run(model):
    put(model / "config.json", "auto_map", {"AutoConfig": "evil.Evil"})
    with pytest.raises(ValueError, match="asks for code of its own"):
        _counter(model, "letter", "")


def test_a_plan_tells_processors_without_their_numbers(model):
    put(model / "processor_config.json", "image_processor", "size", "x")
    counter = _counter(model, "letter", "")
    with pytest.raises(ValueError, match=r"gives image_processor\.size\.longest_edge as None"):
        counter._of("image_processor", "size", "longest_edge")
    (model / "config.json").unlink()
    with pytest.raises(Unmeasured):
        _counter(model, "text", "")


def test_a_model_of_the_hub_is_read_like_a_directory(tmp_path, monkeypatch, words):
    """As it lies in the cache once it was fetched, by its commit."""
    folder, commit = tmp_path / "models--some--model", "0123456789" * 4
    place = Path(shutil.copytree(TINY, folder / "snapshots" / commit))
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    assert PromptEncoder("some/model").commit == commit
    OmniModel.load("some/model", words)
    put(place / "config.json", "auto_map", {"AutoConfig": "evil.Evil"})
    assert "asks for code of its own" in refusal(place, words)
    with pytest.raises(ValueError, match="asks for code of its own"):
        PromptEncoder("some/model")


def test_what_ships_is_not_refused():
    assert check_settings(TINY).keys() == {
        *("config.json", "generation_config.json"),
        *("processor_config.json", "tokenizer_config.json"),
    }
    assert open_config(str(TINY)).model_type == "qwen2_5_omni_thinker"
    assert open_processor(str(TINY)).tokenizer.eos_token == "<|im_end|>"
