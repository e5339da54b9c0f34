"""Store with an index what was computed about the questions of a manifest."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence

from datamodules.sample import Sample
from datamodules.sources.index.sealed import read_sealed, sealed
from datamodules.sources.index.table import SampleTable
from runtime.writing import sweep, write_text
from untrusted.json_text import json_of

log = logging.getLogger(__name__)

Found = Mapping[int, str]
"""A text about some of the questions, by their places."""


def memoized(
    samples: Sequence[Sample], name: str, find: Callable[[Sequence[Sample]], Found]
) -> Found:
    """Return `find(samples)`; for an index it is computed once for all of its questions, and
    stored.

    Args:
        name: of the computation, and of all that it depends on besides the questions.
    """
    if not isinstance(samples, SampleTable):
        return find(samples)
    file = samples.file.with_name(f"{name}.json")
    try:
        found = {int(place): text for place, text in json_of(read_sealed(file)).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        whole = SampleTable(
            samples.file,
            root=samples.root,
            verifiers=samples.verifiers,
            outside_root=samples.outside_root,
        )
        found = dict(find(whole))
        sweep(file.parent)
        try:
            write_text(file, sealed(json.dumps(found)))
        except OSError as error:
            log.warning("%s cannot be written (%s): it is found out again next time", file, error)
    if not found:
        return {}
    places = enumerate(map(int, samples.places))
    return {at: found[place] for at, place in places if place in found}
