"""Audio-visual benchmarks."""

import re
from collections.abc import Iterator, Mapping

from datamodules.sample import LETTERS
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.golds import BY_LETTER, BY_TEXT
from datamodules.sources.answers.lettering import Offered
from datamodules.sources.answers.normalize import RowError, written
from datamodules.sources.fields.columns import (
    absent,
    facts,
    listed,
    medium,
    offered,
    tagged,
    text_of,
)
from datamodules.sources.fields.row import Fields
from datamodules.sources.published.media_lookup import ENDINGS, find_medium, find_video
from datamodules.sources.published.shared import choice, lettered_options, named, right
from datamodules.sources.published.subtitles import subtitles
from datamodules.sources.published.tagged_benchmarks import TAGGED_BENCHMARKS

TASK = re.compile(r"task_?[0-9]+")
"""Names of WorldSense's questions about one video."""


def omnibench(row: Row, place: Place) -> Iterator[Row]:
    """Read OmniBench; the picture comes first, and both have the words that it ships for them.

    Its files name media without their folders, which are those of its repository.
    """
    seen, heard = (
        next((str(row[name]).strip() for name in names if not absent(row.get(name))), "")
        for names in (("image content", "image_content"), ("audio content", "audio_content"))
    )
    pictures, sounds = ("image_path", "image"), ("audio_path", "audio")
    yield {
        **named("omnibench", row, "index", "id"),
        **choice(
            row.get("question"), offered(row.get("options")), row.get("answer"), place, *BY_TEXT
        ),
        "media": [
            find_medium(row, place, "image", pictures, "", "mm_data/image", "image", text=seen),
            find_medium(row, place, "audio", sounds, "", "mm_data/audio", "audio", text=heard),
        ],
        "facts": facts(row, "task type", "task_type", "audio type", "audio_type"),
    }


def daily_omni(row: Row, place: Place) -> Iterator[Row]:
    """Read Daily-Omni, whose questions have no ids, and whose videos have a folder each."""
    video, options = text_of(row, "video_id"), lettered_options(row.get("Choice"))
    path = f"{video}/{video}_video"
    yield {
        **choice(row.get("Question"), options, row.get("Answer"), place, *BY_LETTER),
        "media": [find_video(place, path, "Videos", "videos", "")],
        "facts": facts(
            row,
            *("Type", "content_parent_category", "content_fine_category"),
            *("video_category", "video_duration"),
        ),
    }


def worldsense(row: Row, place: Place) -> Iterator[Row | RowError]:
    """Read WorldSense: a video with the questions about it, or the table that is made of these.

    Where its subtitles lie beside it, they are the words of the sound.
    """
    names = [name for name in row if TASK.fullmatch(name) and isinstance(row[name], Mapping)]
    if not names:
        yield {**named("worldsense", row, "index"), **_about_video(row, row, place)}
    for name in names:
        asked = row[name]
        try:
            if isinstance(asked, Mapping):  # as it is
                video = text_of(row, "video_id", "id")
                yield {"id": f"{video}-{name}", **_about_video(row, asked, place, video)}
        except RowError as error:
            yield RowError(error.reason, f"{name}: {error}")


def _about_video(row: Row, asked: Row, place: Place, video: str = "") -> Row:
    """Read one question about a video, everything in it before a part of it may be refused."""
    about = facts(asked, "task_type", "task_domain")
    about |= facts(row, "duration", "domain", "sub_category", "audio_class")
    path = f"subtitles/{video}.srt" if video else row.get("subtitle_path")
    spoken = subtitles(place, path) if isinstance(path, str) else ""
    media = [find_video(place, video or text_of(row, "video_path"), "", "videos", text=spoken)]
    question, given, answer = (asked.get(name) for name in ("question", "candidates", "answer"))
    return {
        **choice(question, lettered_options(given), answer, place, *BY_LETTER),
        "media": media,
        "facts": about,
    }


def intentbench(row: Row, place: Place) -> Iterator[Row]:
    """Read IntentBench: one option, several, or yes and no, each in <answer> tags.

    HumanOmniV2 ships Daily-Omni and WorldSense in this form too: those are named `intentbench`,
    and scored by the same official rule.
    """
    kind, data_type = text_of(row, "problem_type"), text_of(row, "data_type")
    options, said = lettered_options(row.get("options")), row.get("solution")
    answer = "" if absent(said) else tagged(written(said))
    asked: dict[str, object]
    match kind:
        case "multiple choice":
            asked = choice(row.get("problem"), options, answer, place, *BY_LETTER)
        case "emer_ov_mc":
            asked = _several(answer, options, place)
        case "judge":
            asked = {"answer": _judged(answer, options, place), "answer_type": "yes_no"}
        case _:
            raise RowError(
                "bad_answer_type",
                f"problem_type is {kind[:80]!r}, but IntentBench is scored as multiple choice, "
                "emer_ov_mc or judge: leave the row out, or name its format with data.format=..., "
                "which is video_r1 or intentbench_train for training questions.",
            )
    path = text_of(row, "video", "path")
    modality = next((one for one in ENDINGS if one == data_type), None)
    if modality is None:
        raise RowError(
            "bad_media",
            f"data_type is {data_type[:80]!r}, but media are {', '.join(ENDINGS)}: mend it.",
        )
    shown = medium(modality, place.first_of((f"videos/{path}", path)))
    yield {
        **named("intentbench", row, "problem_id", "id"),
        **asked,
        "question": row.get("problem"),
        "media": [find_video(place, path, "videos", "") if modality == "video" else shown],
        "facts": facts(row, "problem_type", "data_type", "data_source"),
    }


def omnivideobench(row: Row, place: Place) -> Iterator[Row | RowError]:
    """Read the questions about one video of OmniVideoBench; the letter says which option is right.

    A question that cannot be read does not take the video's others with it.
    """
    video, told = text_of(row, "video"), facts(row, "video_type", "duration")
    media = [find_video(place, video, "videos", "")]
    given = row.held("questions") if isinstance(row, Fields) else row.get("questions")
    if absent(given):
        raise RowError("missing_question", f"nothing is asked about {video[:80]!r}: drop the row.")
    for number, asked in enumerate(listed(given), start=1):
        question: Row = asked if isinstance(asked, Mapping) else {}
        names = ("question", "options", "correct_option")
        words, options, answer = (question.get(name) for name in names)
        about = facts(question, "question_type", "audio_type")
        try:
            yield {
                "id": f"{video}-{number}",
                **choice(words, lettered_options(options), answer, place, *BY_LETTER),
                "media": media,
                "facts": told | about,
            }
        except RowError as error:
            yield RowError(error.reason, f"question {number} of {video[:80]!r}: {error}")


def cg_av_counting(row: Row, place: Place) -> Iterator[Row]:
    """Read CG-AV-Counting, asked about whole videos: how many, as a number."""
    yield {
        **named("cg_av_counting", row, "index"),
        "question": text_of(row, "question", "question_en"),
        "answer": row.get("answer"),
        "answer_type": "number",
        "media": [find_video(place, text_of(row, "video"), "cg_videos_720p", "videos", "")],
        "facts": facts(row, "category", "type"),
    }


def _several(answer: str, options: Offered, place: Place) -> dict[str, object]:
    """Read a set of options that are named by their letters."""
    if not options.texts:
        raise RowError("bad_options", "there are no options, but letters name some: add them.")
    found = [right(item.strip(), options, place, *BY_LETTER) for item in answer.split(",")]
    letters = [LETTERS[index] for index in found]
    return {"options": [*options.texts], "answer": letters, "answer_type": "set"}


def _judged(answer: str, options: Offered, place: Place) -> str:
    """Read yes or no, also by its letter."""
    return options.texts[right(answer, options, place, *BY_LETTER)] if options.texts else answer


OMNI_BENCHMARKS: tuple[Format, ...] = (
    *TAGGED_BENCHMARKS,
    Format(
        name="omnibench",
        fields=frozenset({"question", "options", "task type", "audio content", "image content"}),
        adapt=omnibench,
        test=True,
    ),
    Format(
        name="daily_omni",
        fields=frozenset({"Question", "Choice", "video_id"}),
        adapt=daily_omni,
        test=True,
        harmless=frozenset({"Explaination", "Explanation"}),
    ),
    *(
        Format(
            name="worldsense",
            fields=frozenset(fields),
            adapt=worldsense,
            test=True,
            # The sound at `audio_path` was taken out of the video, and `video` is its name.
            harmless=frozenset(
                {"id", "video", "video_id", "video_duration", "video_caption", "audio_path"}
            ),
        )
        for fields in (
            ("video_path", "question", "candidates", "task_type", "task_domain"),
            ("video_caption", "domain", "sub_category", "audio_class"),
        )
    ),
    Format(
        name="intentbench",
        fields=frozenset({"problem", "problem_type", "data_type", "solution"}),
        adapt=intentbench,
        test=True,
        # As the publisher's script does: the video is `video`, and `path` where there is none.
        harmless=frozenset({"path"}),
    ),
    Format(
        name="omnivideobench",
        fields=frozenset({"video", "video_type", "questions"}),
        adapt=omnivideobench,
        test=True,
        # `answer` says in other words what the option of the letter says, which is scored.
        harmless=frozenset({"questions.answer", "questions.reasoning_steps"}),
    ),
    Format(
        name="cg_av_counting",
        fields=frozenset({"video", "answer", "query_interval", "clue"}),
        adapt=cg_av_counting,
        test=True,
        # Videos are asked whole, as for the publisher's main score.
        harmless=frozenset({"query_interval", "clue", "video_uid"}),
    ),
)
