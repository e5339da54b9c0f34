"""Check that weights can be loaded before anything is: a directory by its files, a model of the hub
by one small request with a short time limit.
"""

import os
from pathlib import Path

from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from pretrained.settings import check_files
from pretrained.tensors import parts
from untrusted.servers import within
from untrusted.terminal import first_line

HTTPError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # it does not say so
"""A failed connection, in whichever client the hub's library uses."""

SECONDS = 8.0
"""Time limit of a request to the hub."""

NAMED_BY = (
    "whichever setting names it, such as model.path, init_from, benchmark.checkpoints, "
    "distill.teacher or prealign.reader"
)
"""Settings that name weights; code that loads them does not know which one it was."""

RUN = "config.hash"
"""File by which the directory of a run is known."""

NAMES = 4
"""Directories that are named where another one is missing."""

LOCAL_WAY = (
    "set HF_HUB_OFFLINE=1 where it was fetched before, or fetch it elsewhere (hf download) and "
    "name the directory"
)


def check_weights(path: str, setting: str = NAMED_BY) -> None:
    """Raise what is wrong with a model directory or a model of the hub.

    Args:
        setting: what names it, where that is known.
    """
    place = Path(path)
    if place.is_dir():
        return _check_directory(place, setting)
    if place.exists():
        raise ValueError(
            f"{path} is a file, but weights are a directory with config.json, tokenizer and "
            f"*.safetensors: name that in {setting}."
        )
    if (place.parent / RUN).is_file() and place.name == "export":
        raise ValueError(
            f"{place.parent} is the directory of a run without {place.name}/, but a run leaves its "
            "weights there once its training has ended: end it with its command, or name a run "
            f"that trains, in {setting}."
        )
    if (
        path.startswith(("/", "./", "../", "~"))
        or path.count("/") > 1
        or path.endswith("/")
        or any(place.parent.glob(f"*/{RUN}"))  # among runs, not among owners on the hub
    ):
        raise ValueError(
            f"{path} is neither a directory that exists nor the id of a model on the hub, as "
            f"OWNER/NAME: correct {setting}{_beside(place)}; RUN, the directory of "
            "a run, stands for RUN/export."
        )
    _check_hub(path, setting)


def _beside(place: Path) -> str:
    """Name what does lie where a directory was looked for; nothing of the current directory."""
    there = sorted(each.name for each in place.parent.glob("[!.]*") if each.is_dir())
    if not there or place.parent == Path():
        return ""
    more = ", ..." if len(there) > NAMES else ""
    return f" ({place.parent} holds {', '.join(there[:NAMES])}{more})"


def _check_directory(place: Path, setting: str) -> None:
    """Check that a directory holds config.json, a tokenizer and all parts of the weights."""
    check_files(place)
    lacking = [] if (place / "config.json").is_file() else ["config.json"]
    if not any((place / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        lacking.append("tokenizer.json")
    lacking += [part.name for part in parts(place) if not part.is_file()]
    if lacking:
        more = f" and {len(lacking) - 1} more files" if len(lacking) > 1 else ""
        raise ValueError(
            f"{place} has no {lacking[0]}{more}, but a model is read from its config.json, "
            "tokenizer and *.safetensors: copy what is missing (a run leaves all of them in "
            f"RUN/export), or correct {setting}."
        )


def _check_hub(name: str, setting: str) -> None:
    """Check that the hub, or its cache, has a model; raise with the way out if not."""
    told = f"{name} is no directory here{_beside(Path(name))}, and the hub"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        address = hf_hub_url(name, "config.json")
        found = within(SECONDS, lambda: get_hf_file_metadata(address, timeout=SECONDS))
    except GatedRepoError as error:
        raise ValueError(
            f"{told} has it behind terms that you have not accepted: accept their terms at "
            f"{endpoint}/{name}, and log in (hf auth login, or HF_TOKEN)."
        ) from error
    except RepositoryNotFoundError as error:
        raise ValueError(
            f"{told} knows no such model, or keeps it private: correct {setting}, or log in "
            "(hf auth login, or HF_TOKEN) if it is yours."
        ) from error
    except EntryNotFoundError as error:
        raise ValueError(
            f"{told} has no config.json for it, but models are read in the format of "
            f"transformers: name a repository that holds one, in {setting}."
        ) from error
    except HFValidationError as error:
        raise ValueError(
            f"{name} is neither a directory nor the id of a model on the hub, as OWNER/NAME: "
            f"correct {setting}."
        ) from error
    except OfflineModeIsEnabled as error:
        raise ValueError(
            f"{told} is not asked, as HF_HUB_OFFLINE=1 says, but the cache does not hold it: unset "
            "that, or fetch it elsewhere (hf download) and name the directory."
        ) from error
    except HfHubHTTPError as error:
        raise ValueError(
            f"{told} answers with an error ({first_line(error)}): {_way_out(error)}, or "
            f"{LOCAL_WAY}."
        ) from error
    except (HTTPError, OSError) as error:
        raise ValueError(
            f"{told} cannot be reached ({first_line(error)}): mend the network or HF_ENDPOINT, or "
            f"{LOCAL_WAY}."
        ) from error

    if found.commit_hash is None:  # the page of a login, a proxy, or another site
        raise ValueError(
            f"{told} ({endpoint}) answers, but not as a hub does, which names the commit of each "
            f"file: mend HF_ENDPOINT or the proxy, or {LOCAL_WAY}."
        )


def _way_out(error: HfHubHTTPError) -> str:
    """Say what to do about a status: mend the token or address, or wait."""
    response = getattr(error, "response", None)
    status = 0 if response is None else response.status_code
    if status in (401, 403, 407):
        return "see that HF_TOKEN holds a token that may read it, and that HF_ENDPOINT is right"
    return "correct HF_ENDPOINT" if status in (404, 405, 410) else "try again later"
