"""Functions of the user's own are found, checked and hashed before anything is run."""

import subprocess
import sys
from pathlib import Path

import pytest

from configs.load import config_hash, load_config
from configs.plugins import read_plugin
from configs.schema import Config

ROOT = Path(__file__).parents[2]
REWARD = "def loudness(question, completion, facts):\n    return 0.5\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "my_rewards.py").write_text(REWARD)
    return tmp_path / "my_rewards.py"


def load(*plugins: object, **others: object) -> Config:
    words = [f"rlvr.reward.plugins=[{','.join(map(str, plugins))}]"] if plugins else []
    words += [f"data.{key}={value}" for key, value in others.items()]
    return load_config(["stage=rlvr", *words], ("rlvr",))


def refused(*plugins: object, **others: object) -> str:
    with pytest.raises(ValueError) as error:
        load(*plugins, **others)
    return str(error.value)


def test_a_name_has_a_file_a_function_a_weight_and_a_hash():
    plugin = read_plugin("rlvr.reward.plugins", "a/b.py:loud:0.25@0123")
    assert vars(plugin) == {"file": "a/b.py", "name": "loud", "weight": 0.25, "digest": "0123"}
    assert str(plugin) == "a/b.py:loud:0.25@0123"
    assert read_plugin("rlvr.reward.plugins", "b.py:loud").weight == 1


@pytest.mark.parametrize(
    "name", ["loudness", "a.txt:f", "a.py:", "a.py:f:x", "a.py:f:-1", "a.py:f:nan", "http://a.py:f"]
)
def test_a_name_that_cannot_be_read_is_refused(name):
    assert "is named as FILE.py:FUNCTION:WEIGHT" in refused(name)


def test_only_rewards_have_weights(file):
    assert "is named as FILE.py:FUNCTION by" in refused(verifiers=f"[{file}:loudness:0.5]")


def test_what_the_file_holds_is_part_of_the_run(file):
    """So another file begins another run, as any other setting does."""
    one = load(f"{file}:loudness")
    [name] = one.rlvr.reward.plugins
    assert name.startswith(f"{file}:loudness@") and load(f"{file}:loudness") == one
    file.write_text(REWARD.replace("0.5", "0.6"))
    other = load(f"{file}:loudness")
    assert config_hash(other) != config_hash(one)
    said = refused(name)
    assert "restore the file, or leave @" in said
    file.write_text(REWARD)
    assert load(name) == one


def test_the_home_directory_is_put_in(file, monkeypatch):
    monkeypatch.setenv("HOME", str(file.parent))
    assert load("~/my_rewards.py:loudness").rlvr.reward.own[0].file == str(file)


def test_a_function_that_is_not_there_is_answered_with_the_nearest(file):
    said = refused(f"{file}:loudnes")
    assert f"names 'loudnes', but {file} defines loudness at its top level" in said
    assert "did you mean loudness?" in said
    assert "write def tempo(...) there" in refused(f"{file}:tempo")


@pytest.mark.parametrize(
    ("signature", "values"), [("question, completion", 2), ("a, b, c, d", 4), ("a, b, c, *, d", 4)]
)
def test_a_function_of_another_shape_is_refused_with_the_right_one(file, signature, values):
    file.write_text(f"\n\ndef loudness({signature}):\n    return 0.5\n")
    said = refused(f"{file}:loudness")
    assert f"{file}:3: loudness takes {values} values, but rlvr.reward.plugins calls" in said
    assert "write def loudness(question, completion, facts)." in said


@pytest.mark.parametrize("signature", ["a, b, c, d=1", "*all", "a, /, b, c", "a, b, *rest"])
def test_a_function_may_take_more_than_it_is_given(file, signature):
    file.write_text(f"def loudness({signature}):\n    return 0.5\n")
    assert load(f"{file}:loudness")


def test_a_file_that_is_no_python_is_blamed_by_its_line(file):
    file.write_text(f"{REWARD}\nif True\n")
    assert f"{file}:4 is no Python (expected ':')" in refused(f"{file}:loudness")


def test_a_file_that_is_not_there_is_said(tmp_path):
    assert f"{tmp_path}/gone.py, which cannot be read" in refused(f"{tmp_path}/gone.py:f")


def test_names_are_known_once_and_are_not_our_own(file):
    assert "names loudness twice, but" in refused(f"{file}:loudness", f"{file}:loudness:2")
    file.write_text("def format(question, completion, facts): ...")
    assert "names format, which is built in, but" in refused(f"{file}:format")


def test_a_format_that_is_misspelled_is_answered_with_the_nearest():
    said = refused(format="audiomqc")
    assert "must be one of auto, manifest" in said and "did you mean audiomcq?" in said


def test_nothing_of_it_is_run_or_needs_torch(file):
    file.write_text(f"raise SystemExit('run')\n{REWARD}")
    code = (
        "import sys; from configs.load import load_config;"
        f"load_config(['stage=rlvr', 'rlvr.reward.plugins=[{file}:loudness]'], ('rlvr',));"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
