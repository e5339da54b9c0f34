"""Chat templates of strangers end, whatever they do, and say what transformers makes of them."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.utils.data import DataLoader
from transformers import AutoProcessor

from assets.make_tiny import CHAT_TEMPLATE
from datamodules.prompts.encoder import PromptEncoder
from pretrained import chat_template
from pretrained.chat_template import LONGEST, render
from tests.house.test_architecture import ROOT
from tests.tiny_backbones import VL_TEMPLATE

CHAT = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": [{"type": "text", "text": "What? é"}, {"type": "image"}]},
]
CLEVER = """
{%- set ns = namespace(n=0) -%}
{%- for message in messages -%}
    {%- if message.role == 'nobody' -%}{%- continue -%}{%- endif -%}
    {%- set ns.n = ns.n + 1 -%}
    {{ eos_token }}{{ message | tojson }}{{ dict(a=ns.n)['a'] }}
    {%- if tools is not none or documents -%}never{%- endif -%}
    {%- if loop.index > 5 -%}{%- break -%}{%- endif -%}
{%- endfor -%}
  {% generation %}
said
  {% endgeneration %}
{{ strftime_now('%Y')|length }}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}
"""


def said(template: str) -> str:
    return render(template, CHAT, named="there", special={"eos_token": "<|im_end|>"})


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, VL_TEMPLATE, CLEVER])
def test_templates_say_what_transformers_makes_of_them(template):
    processor = AutoProcessor.from_pretrained("assets/tiny")
    special = processor.tokenizer.special_tokens_map
    expected = processor.apply_chat_template(
        CHAT, chat_template=template, add_generation_prompt=True, tokenize=False
    )
    assert render(template, CHAT, named="there", special=special) == expected


ENDLESS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a long number": "{{ 7 ** (10 ** 8) % 3 }}{{ 9 ** (9 ** 8) }}",
}


@pytest.mark.parametrize("template", ENDLESS.values(), ids=[*ENDLESS])
def test_a_template_without_an_end_is_ended(template):
    with pytest.raises(ValueError, match=r"template of there took more than 5 s or 1 GiB"):
        said(template)
    assert said("still here") == "still here"


HUNGRY = {
    "a long text": "{{ 'a' * 10 ** 11 }}",
    "doubled": "{% set n = namespace(s='a') %}"
    "{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
    "doubled list": "{% set n = namespace(s=[1]) %}"
    "{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "centered": "{{ 'a'|center(10 ** 11) }}",
    "padded": "{{ '%100000000000d' % 1 }}",
    "formatted": "{{ '{:>100000000000}'.format(1) }}",
}


@pytest.mark.parametrize("template", HUNGRY.values(), ids=[*HUNGRY])
def test_a_template_that_asks_for_all_memory_gets_none(template):
    with pytest.raises(ValueError, match=r"template of there (?:took more|ended in an error)"):
        said(template)


BROKEN = {
    "raises": "{{ raise_exception('not me') }}",
    "no syntax": "{% if %}",
    "calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "deep": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "deep words": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "includes": "{% include '/etc/passwd' %}",
    "imports": "{% import '/etc/passwd' as p %}",
    "divides": "{{ 1 / 0 }}",
    "half a letter": "{{ '\\ud800' }}",
    "too long": "{{ 'a' * " + str(LONGEST + 1) + " }}",
    "underscore": "{% set n = namespace() %}{% set n.__class__ = 3 %}",
    "globals": "{{ cycler.__init__.__globals__.os.system('touch proof') }}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "lipsum": "{{ lipsum.__globals__['os'].popen('touch proof') }}",
    "format": "{{ '{0.__class__.__mro__[1].x}'.format(1) }}",
}


@pytest.mark.parametrize("template", BROKEN.values(), ids=[*BROKEN])
def test_a_template_that_fails_is_told_with_its_reason(template):
    with pytest.raises(ValueError, match=r"template of there ended in an error \(.+\)"):
        said(template)
    assert not (ROOT / "proof").exists()


@pytest.mark.parametrize("template", [None, 3, {"tool_use": "x"}, ["x"]])
def test_what_is_no_template_is_told(template):
    with pytest.raises(ValueError, match=r"template of there is a "):
        render(template, CHAT, named="there", special={})


def test_the_default_of_several_templates_is_taken():
    several = {"tool_use": "no", "default": "yes"}
    assert render(several, CHAT, named="there", special={}) == "yes"


class Chats:
    """As many prompts as asked for, each rendered where a loader wants it."""

    def __init__(self, template: str) -> None:
        self.template = template

    def __len__(self) -> int:
        return 6

    def __getitem__(self, number: int) -> tuple[str, int]:
        return said(self.template + str(number)), os.getpid()


def test_loader_processes_render_for_themselves():
    """The process that renders for their parent is not theirs, though they were forked with it."""
    assert said("parent") == "parent"
    found = list(DataLoader(Chats("n"), batch_size=None, num_workers=2))
    assert [text for text, _ in found] == [f"n{number}" for number in range(6)]
    assert len({pid for _, pid in found}) == 2
    assert said("parent") == "parent"


def test_loader_processes_are_told_too():
    with pytest.raises(ValueError, match="template of there ended in an error"):
        list(DataLoader(Chats("{{ 1 / 0 }}"), batch_size=None, num_workers=1))


def test_a_process_that_is_gone_leaves_none_behind():
    """Also when it was killed while its template was being rendered."""
    code = (
        "import os, sys, threading, time; from pretrained.chat_template import _RENDERER, render;"
        "render('x', [], named='x', special={}); print(_RENDERER.process.pid, flush=True);"
        "threading.Timer(0.5, os._exit, [0]).start();"
        f"render({ENDLESS['loops']!r}, [], named='x', special={{}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    child = int(done.stdout)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not Path(f"/proc/{child}").exists()


def test_a_model_whose_template_never_ends_is_named(model):
    (model / "chat_template.jinja").write_text(ENDLESS["loops"])
    encoder = PromptEncoder(str(model))
    with pytest.raises(ValueError, match=rf"the chat template of {model} took more than 5 s"):
        encoder.say("Hello")


def test_forks_do_not_wait_for_a_lock_that_their_parent_held():
    with chat_template._RENDERER.asking:
        child = multiprocessing.get_context("fork").Process(target=said, args=("forked",))
        child.start()
        child.join(60)
    assert child.exitcode == 0
