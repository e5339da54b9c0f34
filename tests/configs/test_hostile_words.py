"""Words and files of settings that break parsers: one sentence each, and nothing written."""

import os
import random
from pathlib import Path

import pytest

from bench.fuzz_words import command, outcome
from configs.command import help_text, main_config, main_recipe
from configs.files import LARGEST
from configs.load import SCRIPTS, load_config
from configs.names import HINTS
from configs.recipe_command import read_command

STAGES = tuple(SCRIPTS)
DEEP = 10_000

WORDS = {
    "run.name=" + "x" * 300: "run.name has 300 bytes and begins with 'xxx",
    "run.name=" + "é" * 150: "run.name has 300 bytes",
    "run.name=a/b": "names one file or directory inside run.root",
    "run.name=..": "names one file or directory inside run.root",
    "model.name=../../x": "model.name is '../../x', but names one file",
    "model.name=" + "x" * 201: "model.name has 201 bytes",
    "run.name=\0": r"the character '\x00'",
    "run.name=a\nb": r"the character '\n'",
    "run.name=\udcff": r"the character '\udcff', but settings are written for",
    "run.name=${5}": "run.name cannot be resolved (Interpolation key '5' not found)",
    "run.name=${": "run.name",
    "run.name=${run.name}": "run.name cannot be resolved (Recursive interpolation",
    "run.name=${run}": "run.name cannot be resolved",
    "run.name=${no.such:1}": "run.name cannot be resolved (Unsupported interpolation type no.such)",
    "run.name=" + "${" * DEEP: "run.name holds 10000 interpolations ${...}, but a setting may",
    "run.name=" + "${a}" * DEEP: "run.name holds 10000 interpolations",
    "data.root=${oc.env}": "data.root cannot be resolved",
    "optim.lr=${run.name}": "optim.lr cannot be resolved",
    "benchmark.sets=${seed}": "benchmark.sets",
    "seed=" + "9" * 30: "seed is a whole number of 100 bits, but numbers are counted in 63",
    "seed=" + "9" * DEEP: "seed is '9999",
    "seed=0x10": "seed is '0x10', but must be a whole number",
    "seed=2024-01-01": "seed is '2024-01-01', but must be a whole number",
    "optim.lr=1e999": "optim.lr is inf, but must be greater than 0 and finite",
    "optim.weight_decay=.nan": "optim.weight_decay is '.nan', but must be a number",
    "optim.weight_decay=nan": "optim.weight_decay is nan",
    "optim={": "optim is '{', which cannot be read",
    "optim={'lr': }": "optim is \"{'lr': }\", which cannot be read",
    "optim={**a}": "optim is '{**a}', which cannot be read",
    "optim=" + "{'a':" * DEEP: "which cannot be read",
    "optim={1, 2}": "optim is '{1, 2}', which cannot be read",
    "optim={'lr': 0x" + "f" * DEEP + "}": "optim.lr is a whole number of 40000 bits",
    "optim={'lr': __import__('os')}": "which cannot be read",
    "{": "a word of the command is '{', which cannot be read",
    "{'seed': 1}": "which cannot be read",
    '{"a":' * DEEP: "which cannot be read",
    '{"a":' * 500 + "1" + "}" * 500: "there is no setting 'a.a.a",
    '{"run.name": ' + "[" * 500 + "]" * 500 + "}": "run.name is [[[",
    '{"model": ["tiny"]}': "model=['tiny'] is not known",
    '{"stage": null}': "stage is not given",
    '{"seed": NaN}': "seed is nan, but must be finite",
    '{"run.name": "\\ud800"}': "surrogates not allowed",
    '{"run.name": "a\\u0000"}': r"the character '\x00'",
    '{"benchmark.sets": [null, {}]}': "benchmark.sets is [None, {}], but must be a list",
    "benchmark.sets=" + "[" * DEEP: "must be a list such as",
    "data.train=[": "",
    "": "'' is not an assignment",
    "=": "there is no setting ''",
    "a=b=c": "there is no setting 'a'",
    "a b=1": "there is no setting 'a b'",
    "optim.=1": "there is no setting 'optim.'",
    "optim.." + "lr." * DEEP + "=1": "there is no setting 'optim..",
    "x" * 100_000 + "=1": "there is no setting 'xxx",
    "\x1b[2J": r"the character '\x1b'",
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    empty = tmp_path / "here"
    empty.mkdir()
    monkeypatch.chdir(empty)
    return empty


@pytest.mark.parametrize("word", WORDS, ids=range(len(WORDS)))
@pytest.mark.parametrize("start", ["stage=audit", "recipe=vidground"])
def test_a_word_is_refused_in_a_line_and_nothing_is_written(start, word, capsys, place):
    """Some are harmless to a recipe, whose steps refuse them; none is a traceback."""
    try:
        if start == "stage=audit":
            main_config([start, word], STAGES)
            assert WORDS[word] == ""
        else:
            main_recipe([start, word])
    except SystemExit as left:
        told = capsys.readouterr().err
        assert left.code == 2 and told.startswith("error: ") and told.count("\n") == 1
        assert len(told) < 2500
        if start == "stage=audit":
            assert WORDS[word] in told and WORDS[word]
    assert [*place.iterdir()] == []


@pytest.mark.parametrize("key", [key for key, hint in HINTS.items() if hint in (int, float)])
def test_every_number_is_one_that_machines_count_with(key):
    for text in ["1" + "0" * 30] if HINTS[key] is int else ["nan", "inf", "-1e999"]:
        with pytest.raises(ValueError, match=key.rpartition(".")[2]):
            load_config(["stage=audit", f"{key}={text}"], STAGES)


def test_commands_of_odd_pieces_are_settings_or_a_sentence():
    rng = random.Random(11)
    found = {str(argv): outcome(argv) for argv in (command(rng) for _ in range(120))}
    assert {*found.values()} == {"a configuration", "a sentence"}, found


MEDIA = "media: {image_max_pixels: &a 9, video_max_frames: *a, audio_max_seconds: *a}"
GOOD = f"data: {{name: mine, root: x, {MEDIA}}}\n"
FILES: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "data is not set"),
    "a list": ("- a\n", "is ['a'], but it is made of keys with values"),
    "a text": ("words\n", "there is no setting 'words'"),
    "a tag": ("data: !!python/object/apply:os.system [id]\n", "line 1 has the tag tag:yaml.org"),
    "a path": ("data: !!python/object/apply:pathlib.Path [a]\n", "line 1 has the tag"),
    "bytes": ("data: {name: !!binary aGk=, root: x}\n", "line 1 has the tag"),
    "a key twice": (GOOD + "seed: 1\nseed: 2\n", "found duplicate key seed"),
    "a key of a section twice": ("data: {name: a, root: x, name: b}\n", "found duplicate key name"),
    "a bomb": (
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + "".join(f"{y}: &{y} [{', '.join(f'*{x}' for _ in range(9))}]\n" for x, y in
                  zip("abcdefgh", "bcdefghi", strict=True)),
        "cannot be read as settings",
    ),
    "merged bombs": (
        "a: &a {x: 1}\n"
        + "".join(f"{y}: &{y} {{<<: [{', '.join(f'*{x}' for _ in range(9))}]}}\n" for x, y in
                  zip("abcdefgh", "bcdefghi", strict=True)),
        "",
    ),
    "a circle": ("data: &a {name: *a}\n", "cannot be read as settings"),
    "an alias of nothing": ("data: *a\n", "found undefined alias"),
    "depth": ("data: " + "[" * DEEP, "more than 16 levels of sections"),
    "closed depth": ("data: " + "[" * 500 + "]" * 500, "more than 16 levels"),
    "depth by lines": ("".join(" " * n + "a:\n" for n in range(60)), "more than 16 levels"),
    "interpolations": (GOOD + "run: {name: '" + "${" * DEEP + "'}\n", "line 2 holds 10000 inter"),
    "too much": ("# " + "x" * LARGEST, "has 65538 bytes"),
    "no text": (b"\xff\xfe\x00\x01" * 9, "is no UTF-8 from its byte 0 on"),
    "what nobody sees": (GOOD + "# \x1b[2J\n", r"holds the character '\x1b'"),
    "nothing at all": (GOOD + "# \0\n", r"holds the character '\x00'"),
    "a large number": (GOOD + "seed: " + "9" * DEEP + "\n", "cannot be read as settings"),
    "a large hexadecimal": (GOOD + "seed: 0x" + "f" * DEEP, "seed is a whole number of 40000"),
    "no number": (GOOD + "optim: {lr: .nan}\n", "optim.lr is nan, but must be finite"),
    "a list as key": ("? [a]\n: b\n", "cannot be read as settings"),
    "a number as key": (GOOD + "5: 1\n", "there is no setting '5'"),
    "a date": (GOOD + "seed: 2024-01-01\n", "seed is '2024-01-01', but must be a whole number"),
    "a set": ("data: {name, root}\n", "data.name"),
    "two documents": (GOOD + "---\n" + GOOD, "cannot be read as settings"),
    "cut off": ("data: {name: mine", "cannot be read as settings"),
    "tabs": ("data:\n\tname: x\n", "cannot be read as settings"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_settings_is_refused_in_a_sentence(files, name):
    content, told = FILES[name]
    data = content if isinstance(content, bytes) else content.encode()
    for path, words in (
        (files / "data/mine.yaml", ["stage=audit", "data=mine"]),
        (files / "recipe/tea/digits.yaml", ["recipe=tea"]),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        with pytest.raises(ValueError) as caught:
            read_command(words) if words[0] == "recipe=tea" else load_config(words, STAGES)
        assert "\n" not in str(caught.value)
        if path.parent.name == "data":
            assert told in str(caught.value)


def test_what_is_no_file_is_neither_waited_for_nor_read(files):
    os.mkfifo(files / "data/pipe.yaml")
    (files / "data/folder.yaml").mkdir()
    (files / "data/gone.yaml").symlink_to("nowhere")
    (files / "data/zeros.yaml").symlink_to("/dev/zero")
    with (files / "data/huge.yaml").open("wb") as file:
        file.truncate(100 << 20)
    told = {"huge": "has 104857600 bytes"}
    for name in ("pipe", "folder", "gone", "zeros", "huge"):
        with pytest.raises(ValueError, match=told.get(name, "is no file, but settings are read")):
            load_config(["stage=audit", f"data={name}"], STAGES)


def test_help_tells_of_a_file_that_cannot_be_read(files, capsys, monkeypatch):
    monkeypatch.setattr("configs.command.FOLDER", files)
    (files / "data/short.yaml").write_text("# one line")
    assert "\n  short " in help_text("train.py", ("sft",))
    (files / "data/bad.yaml").write_bytes(b"\xff\n\xff\n")
    with pytest.raises(SystemExit) as left:
        main_config(["--help"], STAGES)
    assert left.value.code == 2 and "is no UTF-8" in capsys.readouterr().err


def test_aliases_within_reason_are_read(files):
    (files / "data/mine.yaml").write_text(GOOD)
    assert load_config(["stage=sft", "data=mine"], STAGES).data.media.video_max_frames == 9
    assert read_command(["recipe=distillation"]).recipe.steps


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "x" * 300])
def test_a_step_lies_inside_the_directory_of_its_recipe(files, name):
    (files / "recipe/tea").mkdir()
    (files / "recipe/tea/digits.yaml").write_text(f"steps: [{{name: {name}, stage: sft}}]\n")
    with pytest.raises(ValueError, match="the name of a step"):
        read_command(["recipe=tea"])


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "x" * 300])
def test_a_recipe_lies_inside_run_root(name):
    with pytest.raises(ValueError, match=r"run\.name"):
        read_command(["recipe=vidground", f"run.name={name}"])
