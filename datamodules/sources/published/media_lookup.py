"""Find the media of published rows: by an id, in the folders of a data set, or by their tags."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from datamodules.sample import Modality
from datamodules.sources.adapter import Place, Row
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import absent, file_of, medium
from datamodules.sources.fields.row import whole

VIDEO_ENDINGS = (".mp4", ".MP4", ".mkv", ".webm", ".avi", ".mov")

TAG = re.compile(r"\[(img|image|audio|video) ?(\d{1,2})\]|<(img|image|audio|video)_(\d{1,2})>")
"""How a text speaks of a medium by its number: "[audio1]" in AV-Odyssey, "<audio_1>" in UNO."""

ENDINGS: Mapping[Modality, str] = {"audio": ".wav", "image": ".png", "video": ".mp4"}
"""Of media whose bytes come without a name."""

Tag = tuple[str, int]
"""Modality and number: ("audio", 1) is "[audio1]"."""

Tagged = dict[Tag, dict[str, object]]
"""Media by the tags that texts have for them."""


def find_video(place: Place, name: str, *folders: str, text: str = "") -> dict[str, object]:
    """Find a video by its name or id in the first of these folders that has it.

    Args:
        folders: below the manifest's directory; `""` is that directory itself.
        text: the transcript, where it is published.
    """
    ending = () if PurePosixPath(name).suffix.lower() in VIDEO_ENDINGS else VIDEO_ENDINGS
    names = [name + more for more in ending] or [name]
    return medium("video", _in(place, names, folders), text=text)


def find_medium(
    row: Row, place: Place, modality: Modality, names: Sequence[str], *folders: str, text: str = ""
) -> dict[str, object]:
    """Find a medium that copies name in one of these columns, or hold as bytes, or in several.

    A path whose file is there comes before bytes, and those before a path without a file. Bytes are
    of the same medium whatever file they were taken from; paths must be of files of one name.

    Args:
        folders: in which paths are looked for, as in `find_video`.
    """
    given = [row[name] for name in names if not absent(row.get(name))]
    held = [value for value in map(whole, given) if _has_bytes(value)]
    paths = [_path_of(value) for value in map(whole, given) if not _has_bytes(value)]
    if len({PurePosixPath(urlsplit(path).path).stem for path in paths}) > 1:
        raise RowError(
            "bad_media",
            f"{', '.join(names)} name {' and '.join(paths)[:160]}, but of one {modality}: keep "
            "the column that is meant.",
        )
    path = _in(place, paths, folders or ("",)) if paths else ""
    if held and not (paths and (place.root / path).is_file()):
        path = file_of(held[0], place, ENDINGS[modality])
    if not path:
        raise RowError(
            "bad_media",
            f"none of {', '.join(names)} names a medium, but the question is about one: add its "
            "path.",
        )
    return medium(modality, path, text=text)


def _has_bytes(value: object) -> bool:
    data = value.get("bytes") if isinstance(value, Mapping) else value
    return isinstance(data, bytes) and len(data) > 0


def _path_of(value: object) -> str:
    path = value.get("path") if isinstance(value, Mapping) else value
    if not isinstance(path, str) or not path.strip():
        raise RowError(
            "bad_media",
            f"{str(value)[:80]!r} is no medium, but one is a path, or an object with path or "
            "bytes: mend the row.",
        )
    return path.strip()


def _in(place: Place, names: Sequence[str], folders: Sequence[str]) -> str:
    """Look for each name in all folders; a whole path or an address is looked for nowhere else."""
    whole = [name for name in names if "://" in name or PurePosixPath(name).is_absolute()]
    below = [f"{folder}/{name}" if folder else name for name in names for folder in folders]
    return place.first_of(whole if len(whole) == len(names) else below)


def tags(text: str) -> list[Tag]:
    """List the media that a text speaks of."""
    found = ((one[1] or one[3], int(one[2] or one[4])) for one in TAG.finditer(text))
    return [("image" if kind == "img" else kind, number) for kind, number in found]


def numbered(held: object, modality: Modality, place: Place) -> Tagged:
    """Find media of one kind by their tags, or by their places in a list, from 1."""
    pairs = [] if absent(held) else [(f"<{modality}_1>", held)]
    if isinstance(held, list):
        pairs = [(f"<{modality}_{number}>", one) for number, one in enumerate(held, start=1)]
    elif isinstance(held, Mapping):
        pairs = [(str(name), one) for name, one in held.items()]
    found: Tagged = {}
    for name, one in pairs:
        if absent(one):
            continue
        if not tags(name):
            raise RowError(
                "bad_media",
                f"{name[:80]!r} names one of the {modality}s, but a name is a tag such as "
                f"<{modality}_1>: rename it.",
            )
        found[tags(name)[0]] = medium(modality, file_of(one, place, ENDINGS[modality]))
    return found


def in_order(media: Tagged, question: str, options: Sequence[str]) -> list[dict[str, object]]:
    """Order media as the texts refer to them, and find those that are the options themselves.

    They are if each option has one tag, of a medium that nothing else refers to. Media that no text
    refers to come first; a tag without its medium is an error.
    """
    asked, offered = tags(question), [tags(option) for option in options]
    flat = [tag for some in offered for tag in some]
    missing = [tag for tag in (*asked, *flat) if tag not in media]
    if missing:
        raise RowError(
            "bad_media",
            f"the text speaks of {missing[0][0]} {missing[0][1]}, but the row has only "
            f"{', '.join(f'{kind} {number}' for kind, number in media) or 'no media'}: add it.",
        )
    alone = all(len(some) == 1 for some in offered) and len({*flat}) == len(flat)
    role = {"role": "option"} if alone and not {*flat} & {*asked} else {}
    context = dict.fromkeys((*(tag for tag in media if tag not in (*asked, *flat)), *asked))
    rest = dict.fromkeys(tag for tag in flat if tag not in context)
    return [media[tag] for tag in context] + [media[tag] | role for tag in rest]
