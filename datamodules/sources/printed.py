"""Lists of texts in cells of tables, as Python and numpy print them."""

import ast
import re

from configs.foreign import same_name

TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
"""A text in either kind of quotes, as Python prints one."""


def python_of(text: str) -> object:
    """Read a value as Python prints it, but no object that names a field twice."""
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            names = [same_name(str(key)) for key in keys]
            if len(set(names)) < len(names):
                raise ValueError("an object names a field twice")
    return ast.literal_eval(tree)


def spaced(text: str) -> list[object] | None:
    """Read a list as numpy prints it, and pandas writes it: ['A. a cat' "B. a dog's tail"].

    Nothing but white space parts the texts, for which Python would make them one.
    """
    if TEXT.sub("", text).split() not in (["[", "]"], ["[]"]):
        return None
    try:
        return [ast.literal_eval(one) for one in TEXT.findall(text)]
    except (ValueError, SyntaxError):
        return None


def joined(text: str, found: object) -> bool:
    """Know a list that Python reads, but from which a comma is missing: two texts became one."""
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        return False
    return len(TEXT.findall(text)) != len(found)
