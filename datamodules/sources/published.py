"""What adapters of benchmarks share: ids, answers, films that are named by an id, and subtitles."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import PurePosixPath

from datamodules.sample import Modality
from datamodules.sources.adapter import Place, Row
from datamodules.sources.answers import NUMBER, RowError, written
from datamodules.sources.columns import absent, answer_of, file_of, listed, medium, text_of

FILMS = (".mp4", ".MP4", ".mkv", ".webm", ".avi", ".mov")

TAG = re.compile(r"\[(img|image|audio|video) ?(\d{1,2})\]|<(img|image|audio|video)_(\d{1,2})>")
"""How a text speaks of a medium by its number: "[audio1]" in AV-Odyssey, "<audio_1>" in UNO."""

ENDINGS: Mapping[Modality, str] = {"audio": ".wav", "image": ".png", "video": ".mp4"}
"""Of media whose bytes come without a name."""

Tag = tuple[str, int]
"""Modality and number: ("audio", 1) is "[audio1]"."""

Tagged = dict[Tag, dict[str, object]]
"""Media by the tags that texts have for them."""

LONGEST_SUBTITLES = 4_000_000
"""Bytes of a file of subtitles; a day of speech is less than half of it."""


def named(data_set: str, row: Row, *names: str) -> dict[str, str]:
    """Take over an id, telling a bare number from those of other data sets; none if there is none.

    Rows without an id are named after their place in the manifest.
    """
    if all(absent(row.get(name)) for name in names):
        return {}
    given = text_of(row, *names)
    return {"id": f"{data_set}-{given}" if given.isdecimal() else given}


def choice(question: object, options: Sequence[str], answer: str) -> dict[str, object]:
    """Write a question that offers options; `answer` is the text of one."""
    return {
        "question": question,
        "options": list(options),
        "answer": answer,
        "answer_type": "choice",
    }


def chosen(answer: object, options: Sequence[str]) -> str:
    """Find the option that an answer names where letters are what answers are written in.

    A lone letter is the letter, even if another option reads so.
    """
    lone = isinstance(answer, str) and re.fullmatch(r"\s*\(?[A-J][.)]?\s*", answer)
    return answer_of(answer, options, "letter" if lone else "any")


def open_answer(answer: object) -> dict[str, object]:
    """Tell whether an answer without options is a number, or else a text to be met word for word.

    Lists of accepted answers, as MMMU has them, are read if they hold one.
    """
    if isinstance(answer, str) and re.match(r"\s*\[\s*['\"]", answer):
        answer = listed(answer)
    if isinstance(answer, list):
        if len(answer) != 1:
            raise RowError(
                "bad_answer",
                f"{str(answer)[:80]} are {len(answer)} accepted answers, but a question is scored "
                "by one: keep the one that is meant.",
            )
        answer = answer[0]
    text = "" if absent(answer) else written(answer)
    return {"answer": text, "answer_type": "number" if NUMBER.fullmatch(text) else "text"}


def film(place: Place, name: str, *folders: str, text: str = "") -> dict[str, object]:
    """Find a film by its name or id in the first of these folders that has it.

    Args:
        folders: below the manifest's directory; `""` is that directory itself.
        text: the words that are spoken, where they are published.
    """
    ending = () if PurePosixPath(name).suffix in FILMS else FILMS
    names = [name + more for more in ending] or [name]
    if "://" in name or PurePosixPath(name).is_absolute():
        folders = ("",)
    candidates = [f"{folder}/{one}" if folder else one for one in names for folder in folders]
    return medium("video", place.first_of(candidates), text=text)


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
    """Order media as the texts name them, and find those that are the options themselves.

    They are if each option has one tag, of a medium that nothing else speaks of. What no text
    speaks of comes first; a tag without its medium is an error.
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


def subtitles(place: Place, *names: str, begin: float = 0.0, duration: float | None = None) -> str:
    """Read what is spoken in a film from the first of these files that exists; `""` without one.

    Files are SubRip, or JSON as LongVideoBench has it: lines with `start`, `end` and `line`, or
    with `timestamp` and `text`. They stay inside the data root.

    Args:
        begin: seconds of the film that the subtitles are of, at which the published one begins.
        duration: seconds of the published film; None is all of it.
    """
    if not names:
        return ""
    root, path = place.root.resolve(), place.root / place.first_of(names)
    try:
        inside = path.is_file() and path.resolve().is_relative_to(root)
        if not inside or path.stat().st_size > LONGEST_SUBTITLES:
            return ""
        content = path.read_text(encoding="utf-8-sig")
        spoken = _lines(json.loads(content)) if path.suffix == ".json" else _subrip(content)
    except (OSError, ValueError, RecursionError):  # words beside a question; it is asked without
        return ""
    last = float("inf") if duration is None else begin + duration
    said = [line for middle, line in spoken if middle is None or begin <= middle <= last]
    return " ".join(" ".join(said).encode(errors="ignore").decode().split())  # no half characters


def _subrip(content: str) -> Iterator[tuple[None, str]]:
    """Leave the numbers, times and colors of subtitles out."""
    lines = [line.strip() for line in content.splitlines()]
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        if "-->" not in line and not (line.isdecimal() and "-->" in following):
            yield None, re.sub(r"<[^<>]{1,100}>", "", line)


def _lines(given: object) -> Iterator[tuple[float | None, str]]:
    """List the lines of subtitles, each with the second in its middle."""
    for item in given if isinstance(given, list) else ():
        if isinstance(item, Mapping):
            times = item.get("timestamp") or [item.get("start"), item.get("end")]
            line = item.get("text", item.get("line"))
            if isinstance(line, str):
                yield _middle(times), line


def _middle(times: object) -> float | None:
    if not isinstance(times, list) or len(times) != 2 or absent(times[0]):
        return None
    start, end = (seconds(times[0]), seconds(times[0] if absent(times[1]) else times[1]))
    return None if start is None or end is None else (start + end) / 2


def seconds(time: object) -> float | None:
    """Read seconds, or hours:minutes:seconds; None if it is neither."""
    if isinstance(time, str) and re.fullmatch(r"\d{1,3}:\d\d:\d\d(?:[.,]\d{1,6})?", time):
        hours, minutes, rest = time.replace(",", ".").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < 1e9:
        return None
    return float(time)
