"""Pushes to a hub on loopback: what arrives, who may see it, and what is said when it fails."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub.constants as constants
import pytest

from configs.pushing import PushConfig
from publishing import hub as pushing
from publishing.hub import Push, check_account, upload
from tests.publishing.standin import TOKEN, Hub, hub

WEIGHTS = bytes(range(256)) * 20
CARD = b"---\ntags: [a]\n---\n\n# a\n"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that this process asks, with a token that it knows."""
    with hub() as state:
        at(state.url, monkeypatch)
        yield state


def at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask another hub, sending weights by LFS: its stand-in has no store of the newer kind."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(pushing, "HfApi", lambda token: HFAPI(endpoint=url, token=token))
    monkeypatch.setenv("HF_TOKEN", TOKEN)


HFAPI = pushing.HfApi


@pytest.fixture
def planned(tmp_path: Path) -> Push:
    folder = tmp_path / "mine" / "export"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_bytes(CARD)
    settings = PushConfig(to="me/model")
    return Push(folder=folder, run_dir=tmp_path / "mine", settings=settings, again="python AGAIN")


def with_settings(push: Push, **settings: Any) -> Push:
    return replace(push, settings=replace(push.settings, **settings))


def refusal(push: Push) -> str:
    with pytest.raises(ValueError) as caught:
        upload(push)
    return str(caught.value)


def test_all_files_arrive_whole_in_a_private_repository_and_weights_by_lfs(served, planned):
    assert upload(planned) == f"{served.url}/me/model"
    found = served.repositories["me/model"]
    assert found.private
    expected = {"model.safetensors": WEIGHTS, "config.json": b"{}", "README.md": CARD}
    assert found.files == expected
    assert found.by_lfs == {"model.safetensors"}
    assert found.commits == ["Push export of mine"]
    assert served.tokens == {TOKEN}


def test_what_is_no_part_of_an_export_stays(served, planned):
    for name in (".env", "notes.md", "trace.log", "old.bin"):
        (planned.folder / name).write_text("KEY=1")
    upload(planned)
    arrived = served.repositories["me/model"].files.keys()
    assert arrived == {"model.safetensors", "config.json", "README.md"}


def test_a_public_repository_is_made_on_request_alone(served, planned):
    upload(with_settings(planned, private=False))
    assert not served.repositories["me/model"].private


def test_a_run_pushes_again_to_what_it_has_made(served, planned):
    upload(planned)
    (planned.folder / "model.safetensors").rename(planned.folder / "model-1.safetensors")
    (planned.folder / "config.json").write_text("[]")
    upload(planned)
    found = served.repositories["me/model"]
    assert found.files.keys() == {"model-1.safetensors", "config.json", "README.md"}
    assert found.files["config.json"] == b"[]"


def test_a_name_that_is_taken_is_refused_and_nothing_there_changes(served, planned):
    theirs = served.make("me/model", **{"model.safetensors": b"theirs", "notes.txt": b"n"})
    told = refusal(planned)
    assert "me/model is there already, and" in told and "did not make it" in told
    assert "replaces no weights of others" in told
    assert "another name with --push-to-hub, or set push.existing=true" in told
    assert theirs.files == {"model.safetensors": b"theirs", "notes.txt": b"n"}


def test_what_was_made_by_a_request_whose_reply_was_lost_is_filled_by_the_same_command(
    served, planned
):
    served.lost = "/repos/create"
    assert "the hub cannot be reached for me/model (" in refusal(planned)
    served.lost = ""
    made = served.repositories["me/model"]
    made.files[".gitattributes"] = b"*.safetensors filter=lfs"  # as the hub does at once
    upload(planned)
    assert made.files.keys() >= {"model.safetensors", ".gitattributes"}
    upload(planned)  # and is this run's from then on


def test_an_existing_repository_is_filled_on_request_and_its_weights_replaced(served, planned):
    theirs = served.make("me/model", **{"old-2.safetensors": b"theirs", "notes.txt": b"n"})
    upload(with_settings(planned, existing=True))
    assert theirs.files.keys() == {"model.safetensors", "config.json", "README.md", "notes.txt"}


def test_private_weights_never_go_into_a_public_repository(served, planned):
    theirs = served.make("me/model", private=False)
    told = refusal(with_settings(planned, existing=True))
    assert "me/model is public, but push.private=true keeps weights from others" in told
    assert theirs.files == {}
    upload(with_settings(planned, existing=True, private=False))
    assert "model.safetensors" in theirs.files


def test_a_private_repository_stays_private_and_that_is_said(served, planned, caplog):
    served.make("me/model", private=True)
    upload(with_settings(planned, existing=True, private=False))
    assert served.repositories["me/model"].private
    assert "me/model stays private, as it was made" in caplog.text


REFUSALS = {
    401: ("does not know the token for me/model (401)", "log in again (hf auth login)"),
    403: ("lets this token not write to me (403)", "a token of the role write"),
    404: ("knows no such place for me/model (404)", "HF_ENDPOINT"),
    400: ("does not take me/model", "mend what it names"),
    500: ("answers me/model with an error", "try again later"),
}
STEPS = ("/repos/create", "/preupload/", "/commit/")


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("step", STEPS)
def test_each_refusal_is_a_sentence_and_the_same_command_pushes_again(
    served, planned, step, status, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    served.statuses[step] = status
    told = refusal(planned)
    what, way_out = REFUSALS[status]
    assert what in told and way_out in told and ", but " in told
    assert f"The weights stay in {planned.folder}, and this pushes them again" in told
    assert told.endswith("python AGAIN") and TOKEN not in told
    assert (planned.folder / "model.safetensors").read_bytes() == WEIGHTS
    served.statuses.clear()
    upload(planned)
    assert served.repositories["me/model"].files["model.safetensors"] == WEIGHTS


def test_without_a_token_nothing_is_asked(served, planned, monkeypatch):
    monkeypatch.setattr(pushing, "get_token", lambda: None)
    told = refusal(planned)
    assert "there is no token for the hub, but me/model is pushed in somebody's name" in told
    assert "hf auth login" in told and "HF_TOKEN" in told and told.endswith("python AGAIN")
    assert served.asked == []


def test_a_token_that_is_not_known_is_found_before_training(served, planned, monkeypatch):
    check_account(planned)
    monkeypatch.setenv("HF_TOKEN", TOKEN[::-1])
    with pytest.raises(ValueError, match=r"does not know the token for me/model \(401\)") as caught:
        check_account(planned)
    assert TOKEN[::-1] not in str(caught.value)
    assert served.repositories == {}


def test_a_network_that_is_down_is_a_sentence(planned, monkeypatch):
    at("http://127.0.0.1:9", monkeypatch)
    told = refusal(planned)
    assert "the hub cannot be reached for me/model (" in told and "HF_ENDPOINT" in told
    assert told.endswith("python AGAIN")


def test_a_hub_that_never_answers_is_not_waited_for(planned, monkeypatch):
    monkeypatch.setattr(pushing, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at(f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch)
        told = refusal(planned)
    assert "cannot be reached for me/model (no answer within 0.3 s)" in told


def test_offline_nothing_is_pushed(served, planned, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    told = refusal(planned)
    assert "HF_HUB_OFFLINE=1 forbids to ask the hub" in told and "unset it" in told
    assert served.repositories == {}


def test_the_token_is_written_nowhere(served, planned):
    upload(planned)
    texts = [file.read_bytes() for file in planned.run_dir.rglob("*") if file.is_file()]
    assert not any(TOKEN.encode() in text for text in texts)
    assert (planned.run_dir / "pushed.txt").read_text() == "me/model\n"
