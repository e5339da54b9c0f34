"""Recognize published test sets by the names of files and folders, and by fields of their rows.

This covers what cannot be recognized by its questions, in any format.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath

NAMES: Mapping[str, tuple[str, ...]] = {
    "mmau": ("mmau",),
    "mmar": ("mmar",),
    "mmsu": ("mmsu",),
    "omnibench": ("omni bench",),
    "daily_omni": ("daily omni",),
    "worldsense": ("world sense",),
    "av_odyssey": ("av odyssey",),
    "video_mme": ("video mme",),
    "video_mmmu": ("video mmmu",),
    "mmvu": ("mmvu",),
    "longvideobench": ("long video bench", "lvb"),
    "intentbench": ("intent bench",),
    "video_holmes": ("video holmes",),
    "uno_bench": ("uno bench",),
    "omnivideobench": ("omni video bench",),
    "cg_av_counting": ("cg av counting",),
    **{"mvbench": ("mv bench",), "tempcompass": ("temp compass",), "vsibench": ("vsi bench",)},
}
"""Every benchmark that is read, and the others that Video-R1 evaluates by, as they are spelled but
for case and what stands between the words."""

TEST = re.compile(r"^test|(?<![a-z])test(?![a-z])")
"""Names that say what they are, such as test_human or mmau-test-mini."""

_SPELLED = (
    rf"(?P<{name}>{'|'.join(texts)})".replace(" ", r"[\W_]*") for name, texts in NAMES.items()
)
_TAIL = (
    r"(?:[\W_]*(?:bench|benchmark))?(?![a-z0-9])"
    r"(?![\W_]*(?:like|style|free|removed|excluded|train))"
)
_BEFORE = "".join(
    rf"(?<!(?<![a-z0-9]){word}[\W_])"
    for word in ("no", "not", "non", "without", "minus", "except", "excluding", "excl", "train")
)
_NAMED = re.compile(rf"{_BEFORE}(?<![a-z0-9])(?:{'|'.join(_SPELLED)}){_TAIL}")
_ID = re.compile(_NAMED.pattern + r"[\W_]+[0-9]")
_LITTLE = re.compile(
    r"(?:[\W_]*(?:data|set|main|hf|test|val|mini|eval|audios?|videos?|images?|films?|v?\d+))*"
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

HELD_OUT = ("test", "tests", "benchmark", "benchmarks", "evaluation")
"""Folders that data sets keep their test sets in."""

LONGEST = 80
"""Characters of a text that may name a data set; a sentence may speak of one."""

SOURCES = ("benchmark", "bench", "data_source", "dataset", "dataset_name", "source_dataset")
"""Facts in which a row names its data set."""


def benchmark_named(text: str) -> str | None:
    """Return the benchmark that a name refers to; `mmau_like` and `without_mmau` refer to none."""
    found = _NAMED.search(_CAMEL.sub(" ", text).lower())
    return None if found is None else found.lastgroup


def named_in_path(path: Path, root: Path) -> str | None:
    """Return the test set that the name of a manifest, or of its folders, refers to."""
    if (name := benchmark_named(path.stem)) is not None:
        return name
    inside = path.relative_to(root).parent.parts if path.is_relative_to(root) else path.parts[-2:-1]
    folders = [root.resolve().name] if path.is_relative_to(root) else []
    for folder in (*folders, *inside):
        if (name := _folder(folder)) is not None:
            return name
    return next((f"{one}/" for one in inside if one.lower() in HELD_OUT), None)


def named_in_fields(
    id: str, source: str, facts: Iterable[tuple[str, str]], folders: Iterable[str]
) -> str | None:
    """Return the test set that a row names in its id, its source, its facts or the folders of its
    media."""
    for key, text in (("dataset", source), *facts):
        if key in SOURCES and (name := _source(text)) is not None:
            return name
        if key == "split" and TEST.search(text.lower()):
            return f"split={text}"
    if (found := _ID.match(id.lower())) is not None:
        return next(name for name, text in found.groupdict().items() if text)
    return next(filter(None, map(_media_folder, folders)), None)


@lru_cache(maxsize=4096)
def _source(text: str) -> str | None:
    return benchmark_named(text) if len(text) <= LONGEST else None


@lru_cache(maxsize=4096)
def _media_folder(folder: str) -> str | None:
    return next(filter(None, map(_folder, PurePosixPath(folder).parts)), None)


def _folder(name: str) -> str | None:
    """Tell whether a folder is named after a benchmark, with little else in its name."""
    name = _CAMEL.sub(" ", name).lower()
    found = _NAMED.match(name)
    rest = "" if found is None else name[found.end() :]
    return found.lastgroup if found is not None and _LITTLE.fullmatch(rest) else None
