"""A format of the user's own: a function that `data.format` names."""

from collections.abc import Iterator, Mapping
from functools import cache

from configs.plugins import read_plugin
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.normalize import RowError
from runtime.plugins import PluginError, call, load, refused


@cache
def own_format(name: str) -> Format:
    """Load a format; what the function raises of a row sets the row aside, with its line.

    Args:
        name: the `data.format` of this run, with the hash of the file.
    """
    plugin = read_plugin("data.format", name)
    function = load("data.format", name)

    def adapt(row: Row, place: Place) -> Iterator[Row]:
        about = f"row {place.number} of {place.name}"
        try:
            made = call(function, row, place, drawn=True, about=about)
            for one in made:
                if not isinstance(one, Mapping):
                    rule = "rows of a manifest (docs/data.md), each an object, as a list"
                    raise refused(function, one, rule, about=about)
        except PluginError as error:
            raise RowError("malformed", str(error)) from error
        yield from made

    return Format(
        name=f"{plugin.file}:{plugin.name}", fields=frozenset(), adapt=adapt, generic=True
    )
