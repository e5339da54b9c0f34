"""The key of a server: taken from its variable alone, and repeated nowhere."""

import base64
import json
import logging
import socket
import time
import traceback
from typing import Any
from urllib.parse import quote

import pytest

from configs.load import load_config
from configs.probing import ServerConfig
from evaluation.probing import openai_client as remote
from evaluation.probing.keys import WITHHELD, quoted, repeats
from tests.evaluation.probing.test_openai_client import asked, questions
from tests.hostile_server import http, message, misbehaving

KEY = "sk-planted/a+0123456789=zZ"
LONG = "q7Rt5PzX0aLm3Wn8Yb2Kc"

ADDRESSES = [
    f"https://{KEY}@host/v1",
    f"https://user:{KEY}@host/v1",
    "https://user@host/v1",
    f"https://host/v1?api_key={LONG}",
    "https://host/v1?key=short",
    "https://host/v1?",
    f"https://host/v1#{LONG}",
    f"https://host/v1;key={LONG}",
    f"https://host/v1&key={LONG}",
    f"https://host/key={LONG}/v1",
    f"https://host/{LONG}/v1",
    f"https://host/v1/{LONG}",
    "https://host/sk-proj-abcdefgh12345678/v1",
    "https://host/hf_abcDEF1234567890abc/v1",
    "https://host/v1%3Fapi_key%3Dabc",
    f"https://host\\@{LONG}/v1",
    f"https://host/v1 {LONG}",
    f"https://host/v1\n{LONG}",
]
NO_ADDRESSES = [
    *("", "host", "host:8000/v1", "//host/v1", "/v1", "file:///etc/passwd", "ftp://host/v1"),
    *("https://", "https:///v1", "http://host:0/v1", "http://host:99999/v1", "http://host:x/v1"),
    *("http://[::1/v1", "http://[nine]/v1", "javascript://host/v1", "unix:///run/server"),
    "http://h\0",
]
GOOD = [
    *("http://127.0.0.1:8000/v1", "http://[::1]:8000/v1", "http://localhost/v1"),
    "http://gpu-7:1/v1/",
    "https://api.openai.com/v1",
    "https://generativelanguage.googleapis.com/v1beta/openai/",
    "https://me.openai.azure.com/openai/deployments/gpt-4o-audio-preview-2024-12-17",
    "https://gateway.ai.cloudflare.com/v1/0123456789abcdef0123456789abcdef/mine/openai",
    "https://ab1cd2ef3gh4ij5k.us-east-1.aws.endpoints.huggingface.cloud/v1/",
    "http://10.0.0.7:8000/models/Qwen2.5-Omni-7B-Instruct-AWQ/v1",
]


def refusal(**settings: Any) -> str:
    with pytest.raises(ValueError, match=r"probe\.server") as caught:
        ServerConfig(**settings)
    return str(caught.value)


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_that_may_hold_a_key_is_refused_and_not_repeated(url):
    said = refusal(url=url)
    assert "probe.server.url" in said
    assert not any(part in said for part in (KEY, LONG, "abcDEF", "abcdefgh", "key=", "user:"))


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address_is_told(url):
    assert "give one such as http://127.0.0.1:8000/v1" in refusal(url=url)


@pytest.mark.parametrize("url", GOOD)
def test_addresses_of_real_servers_are_taken(url):
    assert ServerConfig(url=url).url == url


@pytest.mark.parametrize(
    "name",
    [
        *(KEY, LONG, "hf_abcDEF1234567890abc", "sk-proj-abcdefgh12345678", "gsk_abc123def456ghi"),
        *("AKIAIOSFODNN7EXAMPLE", "0123456789abcdef0123456789abcdef01234567"),
        *("", "A B", "A=B", "1A"),
        *("abcdefabcdefabcdefabcdefabcdefabcdefabcd", "OPENAI_API_KEY\n", "é", "a\0", "A" * 65),
    ],
)
def test_a_key_in_place_of_the_name_of_its_variable_is_refused_and_not_repeated(name):
    said = refusal(key_variable=name)
    assert said.startswith("probe.server.key_variable is no name of an environment variable")
    assert len(name) < 5 or name not in said


@pytest.mark.parametrize("field", ["url", "model", "revision"])
def test_the_key_itself_is_refused_wherever_it_is_pasted(monkeypatch, field):
    monkeypatch.setenv("SOME_NAME", "unremarkable")
    said = refusal(key_variable="SOME_NAME", **{field: "https://unremarkable/v1"})
    assert "leave the key in the environment variable SOME_NAME" in said
    assert "unremarkable" not in said


def test_the_command_line_says_the_same():
    with pytest.raises(ValueError, match=r"put the key into the environment variable") as caught:
        load_config(["stage=probe", f"probe.server.url=https://host/v1?api_key={LONG}"], ("probe",))
    assert LONG not in "".join(traceback.format_exception(caught.value))


FORMS = {
    "plain": KEY,
    "in a sentence": f"Incorrect API key provided: {KEY}. See our pages.",
    "as a header": f"Authorization: Bearer {KEY}",
    "in capitals": KEY.upper(),
    "its first half": KEY[: len(KEY) // 2],
    "its second half": KEY[len(KEY) // 2 :],
    "quoted for addresses": quote(KEY, safe=""),
    "all of it quoted": "".join(f"%{ord(each):02x}" for each in KEY),
    "every other letter quoted": "".join(
        f"%{ord(each):02x}" if at % 2 else each for at, each in enumerate(KEY)
    ),
    "JSON escapes": "".join(f"\\u{ord(each):04x}" for each in KEY),
    "JSON escapes in JSON": json.dumps("".join(f"\\u{ord(each):04x}" for each in KEY)),
    "Python escapes": "".join(f"\\x{ord(each):02X}" for each in KEY),
    "HTML, by number": "".join(f"&#{ord(each)};" for each in KEY),
    "HTML, by hexadecimal number": "".join(f"&#x{ord(each):x};" for each in KEY),
    "backwards": KEY[::-1],
    "over lines": "\n".join(KEY),
    "with marks between": "*".join(KEY),
    "with nothing seen between": "\u200b".join(KEY),
    "hexadecimal": KEY.encode().hex(),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 behind a letter": base64.b64encode(f"x{KEY}".encode()).decode(),
    "base64 behind two": base64.b64encode(f"xy{KEY}y".encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(f"user:{KEY}".encode()).decode(),
    "wide letters": "".join(chr(ord(each) + 0xFEE0) for each in KEY),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_key_is_recognized_in_every_form(form):
    """Alone, in a text, and in JSON once and twice, as replies are quoted before they are read."""
    text = f"before {FORMS[form]} after"
    for said in (FORMS[form], text, json.dumps(text), json.dumps(json.dumps({"error": text}))):
        assert repeats(said, KEY)
        assert quoted(said, KEY) == WITHHELD


@pytest.mark.parametrize(
    "text", ["", "sk-plant***zZ", "no audio, please", "0123456 planted", "a" * 999]
)
def test_what_holds_no_key_is_quoted(text):
    assert not repeats(text, KEY)
    assert quoted(text, KEY)[:400] == text[:400]
    assert quoted("the key EMPTY is wrong", "EMPTY") == "the key EMPTY is wrong"


def test_what_is_quoted_is_short_and_takes_no_time():
    """Marks on one letter are sorted one by one where a text is brought into a normal form."""
    began = time.process_time()
    said = quoted("e" + "\u0301\u0327" * 1_000_000, KEY)
    assert len(said) < 500
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "status", ["200 OK", "302 Found", "400 No", "401 No", "429 Slow", "500 No"]
)
def test_no_reply_brings_the_key_into_a_log_or_an_error(monkeypatch, caplog, status):
    """In the body, the reason, the headers, and where JSON has no place for it."""
    monkeypatch.setenv("SOME_KEY", KEY)
    monkeypatch.setattr(remote, "PATIENCE", 0.1)
    caplog.set_level(logging.DEBUG, "probing")
    echoes = [
        http({"error": {"message": f"wrong key {KEY}", "code": KEY}}, status=status),
        http(f"wrong key {KEY}", f"location: https://{KEY}.example/v1", status=status),
        http(message(content=None, role=KEY), f"retry-after: {KEY}", f"x: {KEY}", status=status),
        http({"choices": [{"finish_reason": KEY, "message": {"content": "yes"}}]}, status=status),
        f"HTTP/1.1 {status}\r\n{KEY}\r\n\r\n".encode(),
        http("", f"content-encoding: {KEY}", status=f"{status} {KEY}"),
    ]

    def behave(body: dict[str, Any], connection: socket.socket) -> None:
        connection.sendall(echoes[int(body["messages"][0]["content"].split()[1])])

    with misbehaving(behave) as seen:
        for number in range(len(echoes)):
            config = seen.config(key_variable="SOME_KEY")
            try:
                asked(config, [questions(len(echoes))[number]])
            except ValueError as error:
                shown = "".join(traceback.format_exception(error))
                assert "planted" not in shown
                assert error.__context__ is None
    assert f"authorization: Bearer {KEY}" in seen.heads[0].replace("Authorization", "authorization")
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("probing")]
    assert "planted" not in "".join(ours)
