"""No wait in this project is without a limit, but for those that a signal is known to end."""

import ast

import pytest

from tests.house.test_architecture import ROOT, SHIPPED

WAITS = {"wait", "join", "get", "acquire", "result", "recv", "recv_bytes", "communicate"}
"""Methods that wait, without an argument that bounds them, until somebody else does something."""

KNOWN = {
    # A sum over processes: their group has a limit of its own, Lightning's half an hour.
    "modules/step/distributed.py": {"wait"},
    # Answers come within limits of processor time; a process that is gone closes its pipe. A signal
    # reaches the main thread, and where threads are waited for the one that stands by ends it all.
    "modules/verifiers/math_answers.py": {"get", "recv", "join"},
    # Every request has a limit of time. A signal ends the wait, as above.
    "evaluation/probing/openai_client.py": {"get"},
    # Its thread looks every fifth of a second whether it should end.
    "training/followers.py": {"join"},
    # Whoever samples the same traces, which is said. The kernel lets go of what a dead one held.
    "training/trace_cache.py": {"flock"},
    # What nobody else knows the name of yet, or a directory for the moment of a look.
    "runtime/writing.py": {"flock"},
    # A process that has been killed.
    "untrusted/killable.py": {"communicate"},
}


def unbounded(file: str) -> set[str]:
    """List the waits of a file that nothing in the call bounds."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            if name in WAITS and not node.args and not node.keywords:
                found.add(name)
            if name == "flock" and "LOCK_NB" not in ast.unparse(node):
                found.add(name)
            timed = any(word.arg == "timeout" for word in node.keywords)
            if name == "run" and ast.unparse(node.func) == "subprocess.run" and not timed:
                found.add("subprocess.run")
    return found


@pytest.mark.parametrize("file", SHIPPED)
def test_a_wait_has_a_limit_or_is_known_to_end_at_a_signal(file):
    assert unbounded(file) <= KNOWN.get(file, set())


def test_what_is_known_is_still_there():
    for file, names in KNOWN.items():
        assert unbounded(file) == names
