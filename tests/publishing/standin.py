"""A hub on loopback: it takes repositories and commits as the real one does, files by LFS too."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN = "hf_" + "Ab1" * 10  # which no hub has given out


@dataclass
class Repository:
    """What one repository holds."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    by_lfs: set[str] = field(default_factory=set)
    commits: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """The state of the stand-in, and what it was asked."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    """All that came with requests, but for those that come without."""

    statuses: dict[str, int] = field(default_factory=dict)
    """By a part of the path: the error that is answered to requests whose path holds it."""

    lost: str = ""
    """A part of the path: what is asked there is done, and the connection ends without a reply."""

    def make(self, name: str, *, private: bool = True, **files: bytes) -> Repository:
        """Make a repository as somebody else would."""
        self.repositories[name] = Repository(private=private, files=dict(files))
        return self.repositories[name]


@contextmanager
def hub() -> Iterator[Hub]:
    """Serve a hub without repositories, until the end of the block."""
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, state, b"")

        def do_POST(self) -> None:
            _answer(self, state, self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def do_PUT(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _answer(request: BaseHTTPRequestHandler, state: Hub, body: bytes) -> None:
    path = unquote(request.path.partition("?")[0])
    state.asked.append(f"{request.command} {path}")
    key = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if key:
        state.tokens.add(key)
    refused = [status for part, status in state.statuses.items() if part in path]
    if refused:
        return _send(request, refused[0], {"error": "refused"})
    if not path.startswith("/objects/") and key != TOKEN:
        return _send(request, 401, {"error": "Invalid credentials"})
    status, reply = _reply(request.command, path, body, state)
    if state.lost and state.lost in path:
        request.close_connection = True
        return None
    return _send(request, status, reply)


def _reply(way: str, path: str, body: bytes, state: Hub) -> tuple[int, Any]:
    """Do what is asked; return the status and what to say."""
    parts = path.strip("/").split("/")
    match way, parts:
        case "GET", ["api", "whoami-v2"]:
            return 200, {"type": "user", "name": "me", "orgs": []}
        case "POST", ["api", "validate-yaml"]:
            return 200, {"errors": [], "warnings": []}
        case "POST", ["api", "repos", "create"]:
            return _create(json.loads(body), state)
        case "GET", ["api", "models", owner, name]:
            found = state.repositories.get(f"{owner}/{name}")
            if found is None:
                return 404, {"error": "Repository not found"}
            return 200, _info(f"{owner}/{name}", found)
        case "GET", ["api", "models", owner, name, "tree" | "revision", *_]:
            found = state.repositories[f"{owner}/{name}"]
            listed = [
                {"type": "file", "path": file, "size": len(data), "oid": "0" * 40}
                for file, data in found.files.items()
            ]
            return 200, listed if "tree" in parts else _info(f"{owner}/{name}", found)
        case "POST", ["api", "models", owner, name, "preupload", "main"]:
            return 200, {"files": [_mode(file) for file in json.loads(body)["files"]]}
        case "POST", [owner, name, "info", "lfs", "objects", "batch"]:
            return 200, _batch(json.loads(body), state)
        case "PUT", ["objects", digest]:
            assert hashlib.sha256(body).hexdigest() == digest, "the bytes that were announced"
            state.objects[digest] = body
            return 200, {}
        case "POST", ["objects", "verify"]:
            return (200, {}) if json.loads(body)["oid"] in state.objects else (404, {})
        case "POST", ["api", "models", owner, name, "commit", "main"]:
            return _commit(body, f"{owner}/{name}", state)
    return 404, {"error": f"the stand-in knows no {way} {path}"}


def _info(name: str, found: Repository) -> dict[str, Any]:
    return {
        "id": name,
        "sha": "0" * 40,
        "private": found.private,
        "siblings": [{"rfilename": file} for file in found.files],
    }


def _create(asked: dict[str, Any], state: Hub) -> tuple[int, Any]:
    name = f"{asked['organization'] or 'me'}/{asked['name']}"
    if name in state.repositories:
        return 409, {"error": "You already created this model repo", "url": f"{state.url}/{name}"}
    state.make(name, private=asked.get("visibility") == "private" or asked.get("private", False))
    return 200, {"url": f"{state.url}/{name}", "name": name}


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    """Say how a file is sent: weights by LFS, as the hub's own rules have it."""
    large = file["path"].endswith(".safetensors")
    return {
        "path": file["path"],
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": False,
    }


def _batch(asked: dict[str, Any], state: Hub) -> dict[str, Any]:
    return {
        "transfer": "basic",
        "objects": [
            {
                **one,
                "authenticated": True,
                "actions": {
                    "upload": {"href": f"{state.url}/objects/{one['oid']}", "header": {}},
                    "verify": {"href": f"{state.url}/objects/verify", "header": {}},
                },
            }
            for one in asked["objects"]
        ],
    }


def _commit(body: bytes, name: str, state: Hub) -> tuple[int, Any]:
    """Apply a commit, all of it or nothing."""
    into = state.repositories[name]
    files, by_lfs = dict(into.files), set(into.by_lfs)
    for line in body.splitlines():
        entry = json.loads(line)
        value = entry["value"]
        match entry["key"]:
            case "header":
                into.commits.append(value["summary"])
            case "file":
                files[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                files[value["path"]] = state.objects[value["oid"]]
                by_lfs.add(value["path"])
            case "deletedFile":
                files.pop(value["path"])
    into.files, into.by_lfs = files, by_lfs
    number = f"{len(into.commits):040x}"
    return 200, {
        "success": True,
        "commitOid": number,
        "commitUrl": f"{state.url}/{name}/commit/{number}",
        "hookOutput": "",
    }


def _send(request: BaseHTTPRequestHandler, status: int, reply: Any) -> None:
    raw = json.dumps(reply).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(raw)))
    request.end_headers()
    request.wfile.write(raw)
