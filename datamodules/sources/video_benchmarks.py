"""Benchmarks of watching: Video-MME, Video-MMMU, MMVU, LongVideoBench and Video-Holmes."""

from collections.abc import Iterator, Mapping

from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.columns import (
    absent,
    answer_of,
    facts,
    file_of,
    medium,
    options_of,
    text_of,
)
from datamodules.sources.published import (
    choice,
    chosen,
    film,
    named,
    open_answer,
    seconds,
    subtitles,
)

SUBJECTS = ("Art", "Business", "Engineering", "Humanities", "Medicine", "Science")
"""Folders of Video-MMMU's films."""


def video_mme(row: Row, place: Place) -> Iterator[Row]:
    """Read Video-MME; where its subtitles lie beside it, they are the words of the sound."""
    video, options = text_of(row, "videoID"), options_of(row.get("options"))
    spoken = subtitles(place, *(f"{folder}{video}.srt" for folder in ("subtitle/", "")))
    yield {
        **named("video_mme", row, "question_id"),
        **choice(row.get("question"), options, chosen(row.get("answer"), options)),
        "media": [film(place, video, "data", "videos", "", text=spoken)],
        "facts": facts(row, "duration", "domain", "sub_category", "task_type"),
    }


def video_mmmu(row: Row, place: Place) -> Iterator[Row]:
    """Read a track of Video-MMMU; that of adaptation shows a picture behind the film.

    The tracks ask about the same films under the same ids, so that they cannot be joined by `+`.
    """
    media = [film(place, text_of(row, "id"), "", *SUBJECTS, "videos")]
    if not absent(row.get("image")):
        media.append(medium("image", file_of(row["image"], place, ".png")))
    yield {
        **named("video_mmmu", row, "id"),
        **_either(row, row.get("options")),
        "media": media,
        "facts": facts(row, "question_type"),
    }


def mmvu(row: Row, place: Place) -> Iterator[Row]:
    """Read MMVU, whose films may be named by an address: its last two names say where they are."""
    path = text_of(row, "video_path", "video")
    if path.startswith(("http://", "https://")):
        path = "/".join(path.split("/")[-2:])
    about = row.get("metadata")
    yield {
        **named("mmvu", row, "id"),
        **_either(row, row.get("choices")),
        "media": [film(place, path, "videos", "")],
        "facts": facts(row, "question_type")
        | (facts(about, "subject") if isinstance(about, Mapping) else {}),
    }


def longvideobench(row: Row, place: Place) -> Iterator[Row]:
    """Read LongVideoBench, whose answers count from 0, and the copy with a column per option.

    The answers to its test questions are not published: those rows are set aside.
    """
    cells = [row.get(f"option{number}") for number in range(5)]
    given = row.get("candidates")
    options = options_of([cell for cell in cells if cell != "N/A"] if absent(given) else given)
    path = row.get("subtitle_path")
    spoken = subtitles(
        place,
        *((f"subtitles/{path}", path) if isinstance(path, str) else ()),
        begin=seconds(row.get("starting_timestamp_for_subtitles")) or 0.0,
        duration=seconds(row.get("duration")),
    )
    answer = answer_of(row.get("correct_choice"), options, "index")
    yield {
        **named("longvideobench", row, "id"),
        **choice(row.get("question"), options, answer),
        "media": [film(place, text_of(row, "video_path"), "videos", "", text=spoken)],
        "facts": facts(
            row, "duration", "duration_group", "question_category", "topic_category", "level"
        ),
    }


def video_holmes(row: Row, place: Place) -> Iterator[Row]:
    """Read Video-Holmes: options in an object of letters, films by their id."""
    video, options = text_of(row, "video ID"), options_of(row.get("Options"))
    yield {
        "id": f"{video}-{text_of(row, 'Question ID')}",
        **choice(row.get("Question"), options, chosen(row.get("Answer"), options)),
        "media": [film(place, video, "videos", "")],
        "facts": facts(row, "Question Type"),
    }


def _either(row: Row, given: object) -> dict[str, object]:
    """Read a question that offers options, or is open where it offers none."""
    options, answer = options_of(given), row.get("answer")
    if options:
        return choice(row.get("question"), options, chosen(answer, options))
    return {"question": row.get("question"), **open_answer(answer)}


VIDEO_BENCHMARKS: tuple[Format, ...] = (
    Format(
        name="video_mme",
        fields=frozenset({"videoID", "question_id", "question", "options"}),
        adapt=video_mme,
        test=True,
    ),
    Format(
        name="video_mmmu",
        fields=frozenset({"id", "link_selected", "question", "options", "question_type"}),
        adapt=video_mmmu,
        test=True,
    ),
    Format(
        name="mmvu",
        fields=frozenset({"id", "question_type", "metadata", "question", "choices"}),
        adapt=mmvu,
        test=True,
    ),
    Format(
        name="longvideobench",
        fields=frozenset({"video_path", "question", "candidates", "correct_choice"}),
        adapt=longvideobench,
        test=True,
    ),
    Format(
        name="longvideobench",
        fields=frozenset({"video_path", "question", "option0", "option1", "correct_choice"}),
        adapt=longvideobench,
        test=True,
    ),
    Format(
        name="video_holmes",
        fields=frozenset({"video ID", "Question ID", "Question", "Options"}),
        adapt=video_holmes,
        test=True,
    ),
)
