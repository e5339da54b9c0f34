"""Render chat templates in a process that can be killed: a template is a program of a stranger.

The sandbox keeps it from reaching anything, but not from looping for ever or asking for all memory:
`python -m pretrained.chat_template` renders for this process.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from untrusted.killable import KillableProcess, limit_time, serve

SECONDS = 5.0
"""Of processor time for one prompt, so that an answer does not depend on what else is running."""

PATIENCE = 120.0
"""Seconds to wait in all, where the process is kept from running."""

MEMORY = 1 << 30
"""Bytes that it may address."""

LONGEST = 1 << 24
"""Characters of one prompt."""

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
    reply, _ = _RENDERER.ask(request)
    if reply is None:
        _refuse(named, f"took more than {SECONDS:.0f} s or {MEMORY >> 30} GiB for one prompt")
    if "text" not in reply:
        _refuse(named, f"ended in an error ({reply['error']})")
    return str(reply["text"])


def _refuse(named: str, what: str) -> NoReturn:
    raise ValueError(
        f"the chat template of {named} {what}, but writes a prompt of at most {LONGEST:,} "
        "characters at once: mend chat_template in that directory, or name another model."
    )


_RENDERER = KillableProcess(
    "pretrained.chat_template",
    does="renders chat templates",
    needed_by="prompts",
    memory=MEMORY,
    patience=PATIENCE,
)


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


def _rendered(request: Mapping[str, Any]) -> dict[str, str]:
    """Render once, and say what went wrong."""
    limit_time(SECONDS)
    try:
        # No tools and documents, which templates may ask after.
        more = {"tools": None, "documents": None, "add_generation_prompt": True}
        text = _compiled(request["template"]).render(
            request["special"], messages=request["chat"], **more
        )
        text.encode()  # refuses half a character
        if len(text) <= LONGEST:
            return {"text": text}
        return {"error": f"{len(text):,} characters"}
    except Exception as error:  # a stranger's program may raise anything
        return {"error": f"{type(error).__name__}: {error}"[:300].splitlines()[0]}


if __name__ == "__main__":
    serve(lambda: _rendered, memory=MEMORY)
