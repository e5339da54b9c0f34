"""Parse lists and objects in table cells, as JSON, Python and numpy write them."""

import ast
import re
from contextlib import suppress

from untrusted.json_text import json_of, same_name

LONGEST_LIST = 20_000
"""Characters of a text that is read as a list: nesting costs memory out of proportion."""

TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
"""A text in either kind of quotes, as Python prints one."""


def held_in(value: object) -> object:
    """Parse a list or an object in JSON or Python; else return the value itself."""
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith(("[", "{")) and len(text) <= LONGEST_LIST:
        for read in (json_of, spaced, python_of):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                found: object = read(text)
                if isinstance(found, list | dict) and not joined(text, found):
                    return found
    return value


def python_of(text: str) -> object:
    """Parse a Python literal, but no dict with duplicate keys."""
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            names = [same_name(str(key)) for key in keys]
            if len(set(names)) < len(names):
                raise ValueError("an object names a field twice")
    return ast.literal_eval(tree)


def spaced(text: str) -> list[object] | None:
    """Parse a list as numpy prints it, and pandas writes it: ['A. a cat' "B. a dog's tail"].

    Only white space separates the texts, which Python would concatenate.
    """
    if TEXT.sub("", text).split() not in (["[", "]"], ["[]"]):
        return None
    try:
        return [ast.literal_eval(one) for one in TEXT.findall(text)]
    except (ValueError, SyntaxError):
        return None


def joined(text: str, found: object) -> bool:
    """Tell whether a comma is missing in a Python list, so that two texts became one."""
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        return False
    return len(TEXT.findall(text)) != len(found)
