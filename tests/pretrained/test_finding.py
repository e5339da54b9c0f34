"""Weights that cannot be had: directories that lack something, and what a hub may answer."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants as hub
import pytest

from pretrained import finding as weights
from pretrained.finding import check_weights

TINY = Path("assets/tiny")


def test_what_ships_can_be_had():
    check_weights(str(TINY))


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        (["config.json"], "has no config.json, but"),
        (["model.safetensors"], "has no model.safetensors, but"),
        (["tokenizer.json", "tokenizer_config.json"], "has no tokenizer.json, but"),
        (["config.json", "model.safetensors"], "has no config.json and 1 more files, but"),
    ],
)
def test_a_directory_that_lacks_something_is_told(model, gone, told):
    for name in gone:
        (model / name).unlink()
    with pytest.raises(ValueError, match=told):
        check_weights(str(model))


def test_every_part_of_the_weights_must_be_there(model):
    parts = {"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"}
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": parts}))
    (model / "one.safetensors").touch()
    with pytest.raises(ValueError, match=r"has no two\.safetensors, but"):
        check_weights(str(model))
    index.write_text("{}")
    with pytest.raises(ValueError, match="does not list the parts"):
        check_weights(str(model))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/no/such/place", "neither a directory that exists nor the id"),
        ("./there", "neither a directory that exists"),
        ("a/b/c", "neither a directory that exists"),
        ("pyproject.toml", "is a file, but weights are a directory"),
        ("two words/x", "neither a directory nor the id of a model"),
    ],
)
def test_a_path_is_not_asked_of_the_hub(path, told):
    with pytest.raises(ValueError, match=told):
        check_weights(path)


def test_a_run_without_weights_and_a_name_among_runs_are_not_asked_of_the_hub(
    tmp_path, monkeypatch
):
    (tmp_path / "runs/probe").mkdir(parents=True)
    (tmp_path / "runs/probe/config.hash").touch()
    with pytest.raises(ValueError, match=r"runs/probe is the directory of a run without export/"):
        check_weights(str(tmp_path / "runs/probe/export"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"runs/prob is neither a directory that exists nor"):
        check_weights("runs/prob")


@pytest.fixture
def hub_says(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A hub that answers everything with one status and one error code."""
    servers = []

    def say(status: int, code: str = "") -> None:
        class Answer(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        address(f"http://127.0.0.1:{server.server_port}")

    def address(url: str) -> None:
        monkeypatch.setattr(hub, "ENDPOINT", url)
        monkeypatch.setattr(
            hub, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
        )

    say.address = address  # type: ignore[attr-defined]
    yield say
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (401, "GatedRepo", "behind terms that you have not accepted: .*hf auth login"),
        (403, "GatedRepo", "behind terms that you have not accepted"),
        (401, "RepoNotFound", "knows no such model, or keeps it private"),
        (404, "RepoNotFound", "knows no such model"),
        (404, "EntryNotFound", "has no config.json for it"),
        (401, "", "answers with an error .*HF_TOKEN"),
        (403, "", "answers with an error .*HF_TOKEN"),
        (404, "", "answers with an error .*: correct HF_ENDPOINT, or"),
        (429, "", "answers with an error .*429.*: try again later"),
        (500, "", "answers with an error .*: try again later.*HF_HUB_OFFLINE=1"),
        (200, "", r"hub \(.*\) answers, but not as a hub does"),
    ],
)
def test_each_answer_of_a_hub_is_a_sentence(hub_says, status, code, told):
    hub_says(status, code)
    began = time.monotonic()
    with pytest.raises(ValueError, match=told) as caught:
        check_weights("somebody/something")
    assert time.monotonic() - began < 40
    assert str(caught.value).startswith("somebody/something is no directory here, and the hub ")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://nowhere.invalid"])
def test_a_hub_that_is_not_there_is_told_soon(hub_says, url):
    hub_says.address(url)
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"cannot be reached .*HF_HUB_OFFLINE=1"):
        check_weights("somebody/something")
    assert time.monotonic() - began < 40


def test_offline_the_hub_is_not_asked(monkeypatch):
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"as HF_HUB_OFFLINE=1 says, but the cache"):
        check_weights("somebody/something")


def test_a_hub_that_answers_byte_by_byte_is_not_waited_for(hub_says, monkeypatch):
    """Each byte comes soon; all of them would take minutes."""
    monkeypatch.setattr(weights, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with suppress(OSError):
                connection, _ = listening.accept()
                for byte in b"HTTP/1.1 200 OK\r\nx-repo-commit: " + b"0" * 1000:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.1)

        threading.Thread(target=answer, daemon=True).start()
        hub_says.address(f"http://127.0.0.1:{listening.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(ValueError, match=r"cannot be reached \(no answer within 0\.5 s"):
            check_weights("somebody/something")
        assert time.monotonic() - began < 30
