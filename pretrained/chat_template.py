"""Render chat templates in a process that can be killed: a template is a program of a stranger.

The sandbox keeps it from reaching anything, but not from looping for ever or asking for all memory,
and Python cannot interrupt itself inside a long multiplication. So `python -m
pretrained.chat_template` renders for this process, within limits of the operating system, and is
started again where it was killed.
"""

import atexit
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NoReturn, final

from jinja2 import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

SECONDS = 5.0
"""Of processor time for one prompt, so that an answer does not depend on what else is running."""

PATIENCE = 120.0
"""Seconds to wait in all, where the process is kept from running."""

MEMORY = 1 << 30
"""Bytes that it may address."""

LONGEST = 1 << 24
"""Characters of one prompt."""

ROOT = Path(__file__).parent.parent

Chat = Sequence[Mapping[str, object]]


def render(template: object, chat: Chat, *, named: str, special: Mapping[str, object]) -> str:
    """Write a chat as a template wants it, up to where the assistant begins.

    Args:
        template: a text, or several by name.
        named: whose template it is, for errors.
        special: names of special tokens, which templates may ask for.
    """
    if isinstance(template, dict):
        template = template.get("default")
    if not isinstance(template, str):
        _refuse(named, f"is a {type(template).__name__}")
    request = {"template": template, "chat": chat, "special": special}
    if (reply := _RENDERER.ask(json.dumps(request))) is None:
        _refuse(named, f"took more than {SECONDS:.0f} s or {MEMORY >> 30} GiB for one prompt")
    if "text" not in reply:
        _refuse(named, f"ended in an error ({reply['error']})")
    return str(reply["text"])


def _refuse(named: str, what: str) -> NoReturn:
    raise ValueError(
        f"the chat template of {named} {what}, but writes a prompt of at most {LONGEST:,} "
        "characters at once: mend chat_template in that directory, or name another model."
    )


@final
class _Renderer:
    """The process that renders for this one."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin without a process: that of the process which this is a copy of is not ours."""
        self.process: subprocess.Popen[bytes] | None = None
        self.asking = threading.Lock()

    def ask(self, request: str) -> dict[str, str] | None:
        """Hand a request over; None where the process was killed over it."""
        line = b""
        with self.asking:
            process = self.start()
            assert process.stdin and process.stdout, "it has pipes"
            try:
                process.stdin.write(request.encode() + b"\n")
                process.stdin.flush()
                line = _read_line(process.stdout)
            except BrokenPipeError:
                pass
            finally:  # an answer that nobody waits for would be taken for the next
                if not line.endswith(b"\n"):
                    self.stop()
        return json.loads(line) if line.endswith(b"\n") else None

    def start(self) -> "subprocess.Popen[bytes]":
        """Start a process where there is none, or none any more."""
        if self.process is None or self.process.poll() is not None:
            self.stop()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pretrained.chat_template"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
                start_new_session=True,  # an interrupt is for this process, which then ends that
            )
        return self.process

    def stop(self) -> None:
        """End the process, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.process = None


_RENDERER = _Renderer()
atexit.register(_RENDERER.stop)
os.register_at_fork(after_in_child=_RENDERER.forget)


def _read_line(pipe: IO[bytes]) -> bytes:
    """Read until a line ends, or until there is nothing to wait for any more."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([pipe], [], [], PATIENCE)[0]:
            return b""
        if not (chunk := os.read(pipe.fileno(), 1 << 16)):
            return b""
        line += chunk
    return line


class _Generation(Extension):
    """Read `{% generation %}` blocks, which mark what an assistant said, as what is in them."""

    tags = {"generation"}  # noqa: RUF012 - as jinja declares it

    def parse(self, parser: Parser) -> list[Node]:
        """Take the block's body in its place."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Namespace(Namespace):
    """Keep what a template sets away from what Python calls by such names."""

    def __setitem__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            raise TemplateError(f"{name} begins with an underscore")
        super().__setitem__(name, value)


def _dict(*pairs: Any, **named: Any) -> dict[Any, Any]:
    """Make a dictionary; the class itself has more to it than a template needs."""
    return dict(*pairs, **named)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _to_json(value: Any, **how: Any) -> str:  # Any: what a template holds
    """Write JSON that is read by models, not by browsers."""
    return json.dumps(value, **({"ensure_ascii": False} | how))


@lru_cache(maxsize=4)
def _compiled(template: str) -> Any:  # jinja's template, which has no type of its own
    """Compile a template with what transformers gives it."""
    sandbox = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    sandbox.filters["tojson"] = _to_json
    sandbox.globals |= {
        "raise_exception": _raise,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "namespace": _Namespace,
        "dict": _dict,
    }
    return sandbox.from_string(template)


def _serve() -> None:
    """Render what comes in on standard input, a line each, until it closes."""
    replies, sys.stdout = sys.stdout, sys.stderr
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which kills
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        reply = json.dumps(_rendered(**request))
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(reply, file=replies, flush=True)


def _rendered(template: str, chat: Chat, special: Mapping[str, object]) -> dict[str, str]:
    """Render once, and say what went wrong."""
    try:
        # No tools and documents, which templates may ask after.
        text = _compiled(template).render(
            special, messages=chat, tools=None, documents=None, add_generation_prompt=True
        )
        text.encode()  # refuses half a character
        if len(text) <= LONGEST:
            return {"text": text}
        return {"error": f"{len(text):,} characters"}
    except Exception as error:  # a stranger's program may raise anything
        return {"error": f"{type(error).__name__}: {error}"[:300].splitlines()[0]}


if __name__ == "__main__":
    _serve()
