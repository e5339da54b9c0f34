"""Upload a directory to the hub; every refusal is a sentence, and the directory stays as it is."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, ModelInfo, errors, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from configs.credentials import masked
from configs.pushing import PushConfig
from runtime.writing import append
from untrusted.servers import within
from untrusted.terminal import first_line

log = logging.getLogger(__name__)

HTTPError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # it does not say so
"""A failed connection, in whichever client the hub's library uses."""

SECONDS = 30.0
"""Time limit of a short request."""

SLOWEST = 50_000
"""Bytes a second; an upload that is slower on the whole is given up."""

FILE = "pushed.txt"
"""In the directory of a run: the repositories that it was the first to fill, a line each."""

LEAVING = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "README.md"]
"""What exports are made of; whatever else somebody put there stays."""

REPLACED = ["*.safetensors", "*.safetensors.index.json", "*.bin"]
"""Weights of an earlier push, which must not stay beside others."""

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Push:
    """One upload."""

    folder: Path
    run_dir: Path
    settings: PushConfig
    again: str
    """Command that pushes again."""

    @property
    def repository(self) -> str:
        """Id on the hub."""
        assert self.settings.to is not None, "the caller asks for a push"
        return self.settings.to


def check_account(push: Push) -> None:
    """Raise where there is no token, or the hub cannot be reached or does not know it.

    To be asked before a training whose weights are pushed at its end.
    """
    _asked(push, _api(push).whoami)


def upload(push: Push) -> str:
    """Make the repository where it is missing, and upload the folder; return its address."""
    api, made = _api(push), push.repository in _made(push.run_dir)
    there = _create(push, api)
    empty = there is None or _is_empty(there)
    if not (empty or made or push.settings.existing):
        raise ValueError(
            f"{push.repository} is there already, and {push.run_dir} did not make it, but a push "
            "replaces no weights of others: choose another name with --push-to-hub, or set "
            f"push.existing=true if they may be replaced. {_stays(push)}"
        )
    if there is not None:
        _check_visibility(push, there)
    if empty and not made:
        append(push.run_dir / FILE, f"{push.repository}\n".encode(), durable=True)
    size = sum(file.stat().st_size for file in push.folder.rglob("*") if file.is_file())
    _asked(
        push,
        lambda: api.upload_folder(
            repo_id=push.repository,
            folder_path=push.folder,
            commit_message=f"Push {push.folder.name} of {push.run_dir.name}",
            allow_patterns=LEAVING,
            delete_patterns=REPLACED if there is not None else None,
        ),
        seconds=600 + size / SLOWEST,
    )
    return f"{api.endpoint}/{push.repository}"


def _made(run_dir: Path) -> list[str]:
    """List the repositories that a run has made."""
    file = run_dir / FILE
    return file.read_text().splitlines() if file.is_file() else []


def _api(push: Push) -> HfApi:
    """Prepare to ask the hub; raise where there is no token."""
    token = get_token()
    if token is None:
        raise ValueError(
            f"there is no token for the hub, but {push.repository} is pushed in somebody's name: "
            f"log in (hf auth login), or set HF_TOKEN to a token that may write. {_stays(push)}"
        )
    return HfApi(token=token)


def _create(push: Push, api: HfApi) -> ModelInfo | None:
    """Make the repository; return what the hub says of it if it was there already."""
    try:
        _asked(
            push,
            lambda: api.create_repo(push.repository, private=push.settings.private),
            passing=(409,),
        )
    except HfHubHTTPError:
        return _asked(push, lambda: api.model_info(push.repository, timeout=SECONDS))
    return None


def _is_empty(info: ModelInfo) -> bool:
    """Tell whether there is nothing to replace, as after a request whose reply was lost."""
    return info.siblings is not None and all(
        file.rfilename == ".gitattributes" for file in info.siblings
    )


def _check_visibility(push: Push, info: ModelInfo) -> None:
    """Raise where weights that are to stay private would be seen by all."""
    if push.settings.private and not info.private:
        raise ValueError(
            f"{push.repository} is public, but push.private=true keeps weights from others: make "
            "the repository private in its settings on the hub, or set push.private=false. "
            f"{_stays(push)}"
        )
    if info.private and not push.settings.private:
        log.warning(
            "%s stays private, as it was made: its settings on the hub make it public",
            push.repository,
        )


def _asked(
    push: Push,
    request: Callable[[], Result],
    *,
    seconds: float = 0.0,
    passing: tuple[int, ...] = (),
) -> Result:
    """Make a request within a time limit, and turn what goes wrong into a sentence.

    Args:
        seconds: the limit; 0 is that of a short request.
        passing: statuses whose errors are the caller's to understand.
    """
    try:
        return within(seconds or SECONDS, request)
    except HfHubHTTPError as error:
        response = getattr(error, "response", None)
        status = 0 if response is None else int(response.status_code)
        if status in passing:
            raise
        raise ValueError(f"{_refusal(push, status, error)} {_stays(push)}") from None
    except OfflineModeIsEnabled:
        raise ValueError(
            f"HF_HUB_OFFLINE=1 forbids to ask the hub, but {push.repository} is there: unset it "
            f"for a push. {_stays(push)}"
        ) from None
    except (HTTPError, OSError) as error:
        raise ValueError(
            f"the hub cannot be reached for {push.repository} ({_said(error)}), but weights are "
            f"pushed to it: mend the network or HF_ENDPOINT. {_stays(push)}"
        ) from None
    except ValueError as error:
        raise ValueError(
            f"the hub does not take {push.repository} ({_said(error)}), but it checks names and "
            f"cards: mend what it names. {_stays(push)}"
        ) from None


def _refusal(push: Push, status: int, error: Exception) -> str:
    """Say why the hub refused, the rule, and the way out."""
    namespace = push.repository.partition("/")[0]
    match status:
        case 401:
            return (
                f"the hub does not know the token for {push.repository} (401), but pushes are "
                "made in somebody's name: log in again (hf auth login), or set HF_TOKEN to a token "
                "that is still valid."
            )
        case 403:
            return (
                f"the hub lets this token not write to {namespace} (403), but a push makes and "
                f"fills {push.repository}: take a token of the role write, which may write to "
                f"{namespace}, or choose a namespace of yours."
            )
        case 404 | 405 | 410:
            return (
                f"the hub knows no such place for {push.repository} ({status}), but it is asked "
                "for at HF_ENDPOINT: correct that, or see that the repository was not deleted."
            )
        case 400 | 402 | 413 | 422:
            return (
                f"the hub does not take {push.repository} ({_said(error)}), but has rules of its "
                "own on names, cards and sizes: mend what it names."
            )
    return (
        f"the hub answers {push.repository} with an error ({_said(error)}), but a push is taken "
        "whole: try again later."
    )


def _said(error: Exception) -> str:
    """Quote an error without the token."""
    token, text = get_token(), first_line(error)
    return masked(text.replace(token, "***") if token else text)[:300]


def _stays(push: Push) -> str:
    """Say that nothing is lost."""
    return f"The weights stay in {push.folder}, and this pushes them again: {push.again}"
