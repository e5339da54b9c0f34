"""Benchmarks of hearing and seeing together."""

import re
from collections.abc import Iterator, Mapping, Sequence

from datamodules.sample import LETTERS, Modality
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers import RowError, written
from datamodules.sources.columns import (
    absent,
    facts,
    file_of,
    lettered,
    listed,
    medium,
    options_of,
    tagged,
    text_of,
)
from datamodules.sources.published import (
    ENDINGS,
    Tagged,
    choice,
    chosen,
    film,
    in_order,
    named,
    numbered,
    open_answer,
    subtitles,
)

APART = re.compile(r"^([A-J]\.)(?=\S)")
"""A letter that stands against its option, as in "A.Wind"."""


def omnibench(row: Row, place: Place) -> Iterator[Row]:
    """Read OmniBench; the picture comes first, and both have the words that it ships for them."""
    options = options_of(row.get("options"))
    media = [
        _shown(row, place, "image", ("image", "image_path"), ("image content", "image_content")),
        _shown(row, place, "audio", ("audio", "audio_path"), ("audio content", "audio_content")),
    ]
    yield {
        **named("omnibench", row, "index", "id"),
        **choice(row.get("question"), options, chosen(row.get("answer"), options)),
        "media": media,
        "facts": facts(row, "task type", "task_type", "audio type", "audio_type"),
    }


def daily_omni(row: Row, place: Place) -> Iterator[Row]:
    """Read Daily-Omni, whose questions have no ids, and whose films have a folder each."""
    video, options = text_of(row, "video_id"), options_of(row.get("Choice"))
    path = f"{video}/{video}_video"
    yield {
        **choice(row.get("Question"), options, chosen(row.get("Answer"), options)),
        "media": [film(place, path, "Videos", "videos", "")],
        "facts": facts(
            row,
            *("Type", "content_parent_category", "content_fine_category"),
            *("video_category", "video_duration"),
        ),
    }


def worldsense(row: Row, place: Place) -> Iterator[Row]:
    """Read WorldSense; where its subtitles lie beside it, they are the words of the sound."""
    options = options_of(row.get("candidates"))
    words = row.get("subtitle_path")
    spoken = subtitles(place, words) if isinstance(words, str) else ""
    yield {
        **named("worldsense", row, "index"),
        **choice(row.get("question"), options, chosen(row.get("answer"), options)),
        "media": [film(place, text_of(row, "video_path"), "", "videos", text=spoken)],
        "facts": facts(row, "task_type", "task_domain", "duration", "audio_class"),
    }


def av_odyssey(row: Row, place: Place) -> Iterator[Row]:
    """Read AV-Odyssey, whose tags say which media are options; the tags stay, as their names."""
    options = options_of(row.get("options"))
    question = text_of(row, "question")
    media: Tagged = {}
    for modality in ENDINGS:
        columns = [row.get(f"{modality}_{number}") for number in range(1, 5)]
        paths = row.get(f"{modality}_path")
        media |= numbered(columns if absent(paths) else paths, modality, place)
    yield {
        **named("av_odyssey", row, "question_id"),
        **choice(question, options, chosen(row.get("answer"), options)),
        "media": in_order(media, question, options),
        "facts": facts(row, "question_type_id", "subfield", "data_type"),
    }


def intentbench(row: Row, place: Place) -> Iterator[Row]:
    """Read IntentBench: one option, several, or yes and no, each in <answer> tags.

    HumanOmniV2 ships Daily-Omni and WorldSense in this form too: those are named `intentbench`,
    and scored by the same official rule.
    """
    kind, data_type = text_of(row, "problem_type"), text_of(row, "data_type")
    options, said = options_of(row.get("options")), row.get("solution")
    answer = "" if absent(said) else tagged(written(said))
    asked: dict[str, object]
    match kind:
        case "multiple choice":
            asked = choice(row.get("problem"), options, chosen(answer, options))
        case "emer_ov_mc":
            several = [_letter(item, options) for item in answer.split(",")]
            asked = {"options": options, "answer": several, "answer_type": "set"}
        case "judge":
            asked = {"answer": chosen(answer, options), "answer_type": "yes_no"}
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
        "media": [film(place, path, "videos", "") if modality == "video" else shown],
        "facts": facts(row, "problem_type", "data_type", "data_source"),
    }


def uno_bench(row: Row, place: Place) -> Iterator[Row]:
    """Read UNO-Bench as its published scorer does, or from plain columns.

    That scorer reads qid, question, answer, score_type, subset_name, and images, audios and videos
    by the tags of the question. How options stand in a question is not published with it: lettered
    lines at its end are taken for options. Its kinds 1 and 4 are answers of several steps and of
    structured data, which only a model scores: those rows are set aside.
    """
    question, kind = text_of(row, "question"), row.get("score_type")
    if kind in (1, 4, "1", "4"):
        raise RowError(
            "bad_answer_type",
            f"score_type is {kind}, which UNO-Bench has scored by a model, but answers are scored "
            "by rules here: leave the row out.",
        )
    media: Tagged = {}
    for modality in ENDINGS:
        media |= numbered(row.get(f"{modality}s"), modality, place)
    options = options_of(row.get("options", row.get("choices")))
    if not options:
        question, options = _split(question)
    answer = row.get("answer")
    asked = choice(question, options, chosen(answer, options)) if options else open_answer(answer)
    if kind in (2, 3, "2", "3") and not options:
        asked["answer_type"] = "ocr"
    yield {
        **named("uno_bench", row, "qid", "id"),
        **asked,
        "question": question,
        "media": in_order(media, question, options),
        "facts": facts(row, "subset_name", "score_type"),
    }


def omnivideobench(row: Row, place: Place) -> Iterator[Row | RowError]:
    """Read the questions about one film of OmniVideoBench; the letter says which option is right.

    A question that cannot be read does not take the film's others with it.
    """
    video = text_of(row, "video")
    media = [film(place, video, "videos", "")]
    if absent(row.get("questions")):
        raise RowError("missing_question", f"nothing is asked about {video[:80]!r}: drop the row.")
    for number, asked in enumerate(listed(row["questions"]), start=1):
        question: Row = asked if isinstance(asked, Mapping) else {}
        try:
            options = options_of(
                [APART.sub(r"\1 ", str(option)) for option in listed(question.get("options"))]
            )
            answer = chosen(question.get("correct_option"), options)
        except RowError as error:
            yield RowError(error.reason, f"question {number} of {video[:80]!r}: {error}")
            continue
        yield {
            "id": f"{video}-{number}",
            **choice(question.get("question"), options, answer),
            "media": media,
            "facts": facts(row, "video_type", "duration")
            | facts(question, "question_type", "audio_type"),
        }


def cg_av_counting(row: Row, place: Place) -> Iterator[Row]:
    """Read CG-AV-Counting, asked about whole films: how many, as a number."""
    yield {
        **named("cg_av_counting", row, "index"),
        "question": text_of(row, "question", "question_en"),
        "answer": row.get("answer"),
        "answer_type": "number",
        "media": [film(place, text_of(row, "video"), "cg_videos_720p", "videos", "")],
        "facts": facts(row, "category", "type"),
    }


def _shown(
    row: Row, place: Place, modality: Modality, files: Sequence[str], words: Sequence[str]
) -> dict[str, object]:
    """Find a medium in the first column that has one, and what it is in words."""
    value = next((row[name] for name in files if not absent(row.get(name))), None)
    text = next((row[name] for name in words if not absent(row.get(name))), "")
    return medium(modality, file_of(value, place, ENDINGS[modality]), text=str(text).strip())


def _letter(item: str, options: Sequence[str]) -> str:
    """Write one item of a set by its letter."""
    if not options:
        raise RowError("bad_options", "there are no options, but letters name some: add them.")
    letter, texts = item.strip(), list(options)
    within = letter in [*LETTERS[: len(texts)]]
    return letter if within else LETTERS[texts.index(chosen(item, texts))]


def _split(question: str) -> tuple[str, list[str]]:
    """Take lettered lines at the end of a question for its options, if there are two or more."""
    lines = question.splitlines()
    for first in range(1, len(lines) - 1):
        given = [line.strip() for line in lines[first:]]
        options = lettered(given)
        if options != given:
            return "\n".join(lines[:first]), options
    return question, []


OMNI_BENCHMARKS: tuple[Format, ...] = (
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
    ),
    Format(
        name="worldsense",
        fields=frozenset({"video_path", "question", "candidates", "task_type", "task_domain"}),
        adapt=worldsense,
        test=True,
    ),
    Format(
        name="av_odyssey",
        fields=frozenset({"question_id", "question", "options", "subfield", "data_type"}),
        adapt=av_odyssey,
        test=True,
    ),
    Format(
        name="intentbench",
        fields=frozenset({"problem", "problem_type", "data_type", "solution"}),
        adapt=intentbench,
        test=True,
    ),
    Format(
        name="uno_bench",
        fields=frozenset({"qid", "question", "score_type", "subset_name"}),
        adapt=uno_bench,
        test=True,
    ),
    Format(
        name="omnivideobench",
        fields=frozenset({"video", "video_type", "questions"}),
        adapt=omnivideobench,
        test=True,
    ),
    Format(
        name="cg_av_counting",
        fields=frozenset({"video", "answer", "query_interval", "clue"}),
        adapt=cg_av_counting,
        test=True,
    ),
)
