"""Video benchmarks: Video-MME, Video-MMMU, MMVU, LongVideoBench and Video-Holmes."""

import re
from collections.abc import Iterator, Mapping

from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.golds import BY_LETTER, Way
from datamodules.sources.answers.lettering import Offered
from datamodules.sources.fields.columns import absent, facts, offered, text_of
from datamodules.sources.published.media_lookup import find_medium, find_video
from datamodules.sources.published.shared import (
    choice,
    lettered_options,
    named,
    named_options,
    open_answer,
)
from datamodules.sources.published.subtitles import seconds, subtitles

SUBJECTS = ("Art", "Business", "Engineering", "Humanities", "Medicine", "Science")
"""Folders of Video-MMMU's videos."""

TRACKS = ("Perception", "Comprehension", "Adaptation")
"""In which Video-MMMU asks about each video."""

TOPICS = (
    *("Art", "Art_Theory", "Design", "Music", "Accounting", "Economics", "Finance", "Manage"),
    *("Marketing", "Biology", "Chemistry", "Geography", "Math", "Physics", "History", "Literature"),
    *("Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine"),
    *("Pharmacy", "Public_Health", "Sociology", "Psychology", "Agriculture", "Computer_Science"),
    *("Architecture_and_Engineering", "Electronics", "Energy_and_Power", "Materials"),
    "Mechanical_Engineering",
)
VIDEO_OF_TOPIC = re.compile(rf"(?:dev|validation|test)_(?:{'|'.join(TOPICS)})_[0-9]+")
"""Ids of Video-MMMU's videos."""

INDICES: tuple[Way, ...] = ("from_0", "letter")


def video_mme(row: Row, place: Place) -> Iterator[Row]:
    """Read Video-MME; where its subtitles lie beside it, they are the words of the sound."""
    video, options = text_of(row, "videoID"), lettered_options(row.get("options"))
    spoken = subtitles(place, *(f"{folder}{video}.srt" for folder in ("subtitle/", "")))
    yield {
        **named("video_mme", row, "question_id"),
        **choice(row.get("question"), options, row.get("answer"), place, *BY_LETTER),
        "media": [find_video(place, video, "data", "videos", "", text=spoken)],
        "facts": facts(row, "duration", "domain", "sub_category", "task_type"),
    }


def video_mmmu(row: Row, place: Place) -> Iterator[Row]:
    """Read a track of Video-MMMU; that of adaptation shows a picture behind the video.

    The tracks ask about the same videos under the same ids. In a file of all three, the name of the
    track stands before the id.
    """
    pictures = ("image", "image 1", "image_1")
    media = [find_video(place, text_of(row, "id"), "", *SUBJECTS, "videos")]
    if not all(absent(row.get(name)) for name in pictures):
        media.append(find_medium(row, place, "image", pictures, "", "images"))
    own, track = named("video_mmmu", row, "id"), row.get("split")
    yield {
        **({"id": f"{track}-{own['id']}"} if track in TRACKS else own),
        **_either(row, offered(row.get("options")), place),
        "media": media,
        "facts": facts(row, "question_type", "split"),
    }


def _about_a_topic(row: Row) -> bool:
    """Know rows of the tracks that name no more than the id of the video, and show nothing else."""
    video_of = VIDEO_OF_TOPIC.fullmatch(str(row.get("id")))
    return video_of is not None and not {"media", "img_type", "subfield"} & row.keys()


def mmvu(row: Row, place: Place) -> Iterator[Row]:
    """Read MMVU, whose videos may be named by an address: its last two names say where they are.

    Several videos may be cut out of one, which `youtube_url` names.
    """
    path = text_of(row, "video_path", "video")
    if path.startswith(("http://", "https://")):
        path = "/".join(path.split("/")[-2:])
    about, url = row.get("metadata"), row.get("youtube_url")
    yield {
        **named("mmvu", row, "id"),
        **_either(row, named_options(row.get("choices")), place),
        "media": [find_video(place, path, "videos", "")],
        "asset_id": None if absent(url) else url,
        "facts": facts(row, "question_type")
        | (facts(about, "subject") if isinstance(about, Mapping) else {}),
    }


def longvideobench(row: Row, place: Place) -> Iterator[Row]:
    """Read LongVideoBench, whose answers count from 0, and the copy with a column per option.

    The answers to its test questions are not published: those rows are set aside.
    """
    cells = [row.get(f"option{number}") for number in range(5)]
    while cells and (absent(cells[-1]) or cells[-1] == "N/A"):  # what fills up shorter rows
        cells.pop()
    given = row.get("candidates")
    path = row.get("subtitle_path")
    spoken = subtitles(
        place,
        *((f"subtitles/{path}", path) if isinstance(path, str) else ()),
        begin=seconds(row.get("starting_timestamp_for_subtitles")) or 0.0,
        duration=seconds(row.get("duration")),
    )
    options, answer = offered(cells if absent(given) else given), row.get("correct_choice")
    yield {
        **named("longvideobench", row, "id"),
        **choice(row.get("question"), options, answer, place, *INDICES),
        "media": [find_video(place, text_of(row, "video_path"), "videos", "", text=spoken)],
        "facts": facts(
            row, "duration", "duration_group", "question_category", "topic_category", "level"
        ),
    }


def video_holmes(row: Row, place: Place) -> Iterator[Row]:
    """Read Video-Holmes: options in an object of letters, videos by their id."""
    video, options = text_of(row, "video ID"), named_options(row.get("Options"))
    folders = ("videos", "videos_cropped", "videos/videos_cropped", "")
    yield {
        "id": f"{video}-{text_of(row, 'Question ID')}",
        **choice(row.get("Question"), options, row.get("Answer"), place, *BY_LETTER),
        "media": [find_video(place, video, *folders)],
        "facts": facts(row, "Question Type"),
    }


def _either(row: Row, options: Offered, place: Place) -> dict[str, object]:
    """Read a question that offers options, or is open where it offers none."""
    if options.texts:
        return choice(row.get("question"), options, row.get("answer"), place, *BY_LETTER)
    return {"question": row.get("question"), **open_answer(row.get("answer"))}


VIDEO_BENCHMARKS: tuple[Format, ...] = (
    Format(
        name="video_mme",
        fields=frozenset({"videoID", "question_id", "question", "options"}),
        adapt=video_mme,
        test=True,
        harmless=frozenset({"video_id", "url", "subtitle"}),
    ),
    *(
        Format(
            name="video_mmmu",
            fields=frozenset({"id", "question", "options", "answer", *more}),
            adapt=video_mmmu,
            tells=None if more else _about_a_topic,
            test=True,
            harmless=frozenset({"link_selected"}),
        )
        for more in (("link_selected", "question_type"), ("link_selected",), ())
    ),
    Format(
        name="mmvu",
        fields=frozenset({"id", "question_type", "metadata", "question", "choices"}),
        adapt=mmvu,
        test=True,
        # `video` is the address that the video of `video_path` was fetched from.
        harmless=frozenset(
            {"video", "metadata.textbook", "metadata.rationale", "metadata.knowledge"}
        ),
    ),
    *(
        Format(
            name="longvideobench",
            fields=frozenset({"video_path", "question", "correct_choice", *options}),
            adapt=longvideobench,
            ways=INDICES,
            test=True,
            # `position` is where the hint of the question is in the video, which is asked whole.
            harmless=frozenset({"video_id", "view_count", "position"}),
        )
        for options in (("candidates",), ("option0", "option1"))
    ),
    Format(
        name="video_holmes",
        fields=frozenset({"video ID", "Question ID", "Question", "Options"}),
        adapt=video_holmes,
        test=True,
        harmless=frozenset({"Explanation"}),
    ),
)
