"""Find something out about the questions of a manifest, once where an index holds them."""

import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence

from caching import read_regular
from datamodules.sample import Sample
from datamodules.sources.table import SampleTable

log = logging.getLogger(__name__)

MOST_BYTES = 1 << 30
"""Of what was found; a line for each question, of those that say something."""

Found = Mapping[int, str]
"""What was found out about some questions, by their places."""


def found_once(
    samples: Sequence[Sample], name: str, find: Callable[[Sequence[Sample]], Found]
) -> Found:
    """Say what `find` finds; of questions in an index, what it found in all of that index first.

    Args:
        name: of what is looked for, and of all that it depends on besides the questions.
    """
    if not isinstance(samples, SampleTable):
        return find(samples)
    file = samples.file.with_name(f"{name}.json")
    try:
        kept: dict[str, str] = dict(json.loads(read_regular(file, MOST_BYTES)))
        found = {int(place): str(text) for place, text in kept.items()}
    except (OSError, ValueError, TypeError):
        whole = SampleTable(samples.file, root=samples.root, outside_root=samples.outside_root)
        found = dict(find(whole))
        made = file.with_name(f"{file.name}.{uuid.uuid4().hex}.tmp")
        try:
            made.write_text(json.dumps(found), encoding="utf-8")
            made.replace(file)
        except OSError as error:
            log.warning("%s cannot be written (%s): it is found out again next time", file, error)
    if not found:
        return {}
    places = enumerate(map(int, samples.places))
    return {at: found[place] for at, place in places if place in found}
