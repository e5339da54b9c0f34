"""Keys in settings: which are recognized, what is left alone, and that none is repeated."""

import json
import time

import pytest

from configs.command import main_config, main_recipe
from configs.credentials import is_called_key, key_in, masked
from configs.load import SCRIPTS, load_config
from configs.recipe_command import read_command
from tests.canaries import BODY, CANARIES, HEX
from tests.configs.test_hostile_words import MEDIA

STAGES = tuple(SCRIPTS)

PASTED = {
    "Hugging Face": f"hf_{BODY}",
    "Hugging Face, letters": "hf_abcdefghijklmnopqrstuvwxyzabcdefgh",
    "OpenAI, old": f"sk-{BODY}",
    "OpenAI, project": f"sk-proj-{BODY[:12]}_{BODY[12:]}-x",
    "Anthropic": f"sk-ant-api03-{BODY}",
    "OpenRouter": f"sk-or-v1-{HEX}",
    "Groq": f"gsk_{BODY}",
    "xAI": f"xai-{BODY}",
    "NVIDIA": f"nvapi-{BODY}",
    "Stripe": "sk_live_4eC39HqLyjWD",
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "AWS, session": "ASIAIOSFODNN7EXAMPLE",
    "GitHub": f"ghp_{BODY}00",
    "GitHub, app": f"gho_{BODY}00",
    "GitHub, fine": f"github_pat_{BODY}_{BODY}",
    "GitLab": "glpat-Zx8yW7vU6tS5rQ4pO3n",
    "Slack": "xoxb-123456789012-abcdef",
    "Google": f"AIza{BODY}1",
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "Weights & Biases": f"wandb:{HEX}deadc0de",
    "Weights & Biases, local": f"local-{HEX}deadc0de",
    "header": "Authorization: Bearer a1b2c3d4e5",
    "basic header": f"basic {BODY}==",
    "S3": "s3://AKEY:secret@bucket/data",
    "S3 with a slash": "s3://AKEY:sec/ret@bucket/data",
    "token for a user": "https://tok3n@host/model",
    "user and password": "https://user:pw@host/model",
    "no user": "redis://:pw@host",
    "no scheme": "//user:pw@host/model",
    "no slashes": "user:p@ss,word@host:80",
    "a name": "api_key=a1b2c3d4",
    "a name of W&B": f"WANDB_API_KEY={HEX}deadc0de",
    "a name in JSON": '"password": "hunter2hunter2"',
    "query": "https://host/x?a=1&api_key=abc",
    "query, signed": "https://host/x?sv=1&sig=abc",
    "query, Amazon": "https://host/x?X-Amz-Signature=abc",
    "query, token": "https://host/x?access_token=abc",
}
HARMLESS = (
    *("Qwen/Qwen2.5-Omni-3B", "runs/rlvr-1a2b3c4d-0/export", "s3://bucket/x", "a@b", "@probe"),
    *("http://127.0.0.1:8000/v1", "http://[::1]:8000/v1", "https://host/a?page=2&by=time"),
    *("/data/risk-assessment-2024-models", "hf_models_and_more", "hf_transformersmodels", "sk-1"),
    *(f"{HEX}deadc0de", "basic training of it", "bearer of news", "task_live_recordings"),
    *("global-experiment-2024", "tokens: many", "max_tokens=100000", "secretary=0123456789"),
    *("keyboard-0123456789abcdef", "ghp_short", "eyJ", "2024-01-01T12:30:45@night", "a?b=c;d"),
)


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", CANARIES["HF_TOKEN"])
    monkeypatch.setenv("MY_ENDPOINT_KEY", CANARIES["SERVED_MODEL_KEY"])
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.setenv("INNOCENT", f"x{CANARIES['OPENAI_API_KEY']}".removeprefix("x"))


def refused(*words: str) -> str:
    with pytest.raises(ValueError) as caught:
        load_config([*words], STAGES)
    return str(caught.value)


@pytest.mark.parametrize("name", PASTED)
@pytest.mark.parametrize("setting", ["run.name", "data.root", "model.path", "benchmark.sets"])
def test_a_key_in_a_setting_is_refused_and_not_repeated(name, setting):
    key = PASTED[name]
    for word in (f"{setting}={key}", f"--{setting}=[a,{key}]", json.dumps({setting: [key]})):
        told = refused("stage=audit", word)
        assert "put the key into the environment variable" in told
        assert key not in told and key[-6:] not in told


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_a_little_like_a_key_is_a_setting(text):
    assert load_config(["stage=audit", f"data.root={text}"], STAGES).data.root == text


@pytest.mark.parametrize(
    "words",
    [
        [f"hf_{BODY}"],
        [f"hf_{BODY}=1"],
        ["--run.name", f"hf_{BODY}"],
        [f"model=hf_{BODY}"],
        [f"run={{'name': 'hf_{BODY}'}}"],
        [json.dumps({f"hf_{BODY}": 1})],
        [json.dumps({"run.name": f"hf_{BODY}"}).replace("hf_", "\\u0068f_")],
        [json.dumps({"run": {"name": f"hf_{BODY}"}}).replace("hf_", "\\u0068f_")],
        [f"benchmark.sets=[a,hf_{BODY}]"],
        [f"run.name={CANARIES['SERVED_MODEL_KEY']}"],
    ],
)
@pytest.mark.parametrize("start", ["stage=audit", "recipe=vidground"])
def test_it_does_not_matter_how_a_key_is_spelled(words, start, capsys):
    main = main_recipe if start.startswith("recipe") else lambda argv: main_config(argv, STAGES)
    with pytest.raises(SystemExit):
        main([start, *words])
    told = capsys.readouterr()
    assert told.err.startswith("error: ") and "holds " in told.err and told.err.count("\n") == 1
    assert BODY[:9] not in told.err + told.out


ASKED = {
    "${oc.env:HF_TOKEN}": "HF_TOKEN",
    "x/${oc.env:HF_TOKEN}/y": "HF_TOKEN",
    "${oc.decode:${oc.env:HF_TOKEN}}": "HF_TOKEN",
    "${oc.env:NOWHERE,${oc.env:HF_TOKEN}}": "HF_TOKEN",
    "${oc.env:${oc.env:NOWHERE,HF_TOKEN}}": "HF_TOKEN",
    "${oc.env:MY_ENDPOINT_KEY}": "MY_ENDPOINT_KEY",
    "${oc.env:AWS_SECRET_ACCESS_KEY,none}": "AWS_SECRET_ACCESS_KEY",
    "${oc.env:INNOCENT}": "INNOCENT",
}


@pytest.mark.parametrize("text", ASKED)
@pytest.mark.parametrize(
    "form", ['{{"data.root": {}}}', '{{"benchmark.sets": ["a", {}]}}', '{{"run": {{"name": {}}}}}']
)
def test_keys_of_the_environment_are_not_looked_up(text, form):
    told = refused("stage=audit", form.format(json.dumps(text)))
    assert f"the environment variable {ASKED[text]}" in told and "holds no key" in told
    assert BODY[:9] not in told


def test_a_key_put_together_from_parts_is_refused(monkeypatch):
    monkeypatch.setenv("FIRST", f"hf_{BODY[:8]}")
    monkeypatch.setenv("SECOND", BODY[8:])
    assert "data.root holds a Hugging" in refused(
        "stage=audit", "data.root=${oc.env:FIRST}${oc.env:SECOND}"
    )


def test_places_are_looked_up_in_the_environment():
    config = load_config(["stage=audit", "data.root=${oc.env:SCRATCH}/x"], STAGES)
    assert config.data.root == "/scratch/me/x"


@pytest.mark.parametrize(
    "text",
    [
        f"data: {{name: mine, {MEDIA}, root: hf_{BODY}}}\n",
        f"# the key is hf_{BODY}\ndata: {{name: mine, {MEDIA}, root: x}}\n",
        f"data: [{{hf_{BODY}\n",
        f'data: {{name: mine, {MEDIA}, root: "\\x68f_{BODY}"}}\n',
        f"data: {{name: mine, {MEDIA}, root: '${{oc.env:HF_TOKEN}}'}}\n",
        f"hf_{BODY}: 1\n",
    ],
)
def test_a_key_in_a_file_of_settings_is_refused_and_not_repeated(files, text):
    (files / "data/mine.yaml").write_text(text)
    told = refused("stage=audit", "data=mine")
    assert "holds a" in told and BODY[:9] not in told


def test_a_key_in_the_file_of_a_recipe_is_refused_and_not_repeated(files):
    (files / "recipe/tea").mkdir()
    file = files / "recipe/tea/digits.yaml"
    file.write_text(f"steps: [{{name: a, stage: sft, run.root: hf_{BODY}}}]\n")
    with pytest.raises(ValueError, match="holds a Hugging Face token") as caught:
        read_command(["recipe=tea"])
    assert BODY[:9] not in str(caught.value)


@pytest.mark.parametrize(
    "part",
    [
        *("sk-", "a", "sk-a", "eyJ", "eyJ-", "BEGIN "),
        *("wandb ", "x://", "x://a:", "bearer ", "?a", "hf_"),
    ],
)
def test_a_long_text_is_searched_at_once(part):
    began = time.process_time()
    assert key_in(part * (100_000 // len(part))) is None
    assert time.process_time() - began < 1


def test_variables_are_told_by_their_names():
    called = ["HF_TOKEN", "hf_token", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID", "MYTOKEN", "GH_PAT"]
    assert all(map(is_called_key, [*called, "DB_PASSWORD", "AZURE_APIKEY", "TOKEN_2"]))
    others = ["TOKENIZERS_PARALLELISM", "PWD", "HF_TOKEN_PATH", "KEYBOARD", "PATH", "SSH_AUTH_SOCK"]
    assert not any(map(is_called_key, [*others, "SCRATCH", "MONKEY", "COMPASS"]))


def test_short_values_of_keys_are_found_in_no_word(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "train")
    assert key_in("runs/train") is None


def test_what_libraries_say_is_shown_without_keys(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", f"hf_{BODY}\n")  # a line feed that somebody pasted with it
    said = f"Illegal header value b'Bearer hf_{BODY}\\n' by http://me:secret@proxy:3128/x"
    assert masked(said) == "Illegal header value b'Bearer ***\\n' by http://***@proxy:3128/x"


@pytest.mark.parametrize(
    "user", ["me:secret", "secret123", ":secret", "me:sec@ret", "me:s%40cret", "secret@a.b"]
)
def test_whoever_asks_is_shown_in_no_address(user):
    """Mirrors of the hub and proxies take a token in the place of a name."""
    said = f"https://{user}@mirror:80/x and socks5h://{user}@proxy cannot be reached"
    assert masked(said) == "https://***@mirror:80/x and socks5h://***@proxy cannot be reached"


@pytest.mark.parametrize("user", ["me:secret", ":secret", "me:sec@ret", "a%40b.c:s%40cret"])
@pytest.mark.parametrize("host", ["proxy", "10.0.0.1", "[::1]"])
def test_whoever_asks_is_shown_in_no_address_without_a_scheme(user, host):
    """As in HTTPS_PROXY; what has no port may be anything, such as the time of a file."""
    assert masked(f"proxy '{user}@{host}:80' is gone") == f"proxy '***@{host}:80' is gone"
    assert masked("12:30:45@night of http://host:80/a@b:c") == (
        "12:30:45@night of http://host:80/a@b:c"
    )
