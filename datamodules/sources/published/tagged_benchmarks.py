"""Benchmarks whose texts refer to their media by tags: AV-Odyssey and UNO-Bench."""

from collections.abc import Iterator

from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.golds import BY_LETTER, LONE
from datamodules.sources.answers.lettering import Offered, split_options
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import absent, facts, offered, text_of
from datamodules.sources.published.media_lookup import ENDINGS, Tagged, in_order, numbered
from datamodules.sources.published.shared import choice, lettered_options, named, open_answer


def av_odyssey(row: Row, place: Place) -> Iterator[Row]:
    """Read AV-Odyssey, whose tags say which media are options; the tags stay, as their names."""
    options, question = lettered_options(row.get("options")), text_of(row, "question")
    media: Tagged = {}
    for modality in ENDINGS:
        columns = [row.get(f"{modality}_{number}") for number in range(1, 5)]
        paths = row.get(f"{modality}_path")
        media |= numbered(columns if absent(paths) else paths, modality, place)
    yield {
        **named("av_odyssey", row, "question_id"),
        **choice(question, options, row.get("answer"), place, *BY_LETTER),
        "media": in_order(media, question, options.texts),
        "facts": facts(row, "question_type_id", "subfield", "data_type"),
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
    options = offered(row.get("options" if "options" in row else "choices"))
    if not options.texts:
        question, within = split_options(question)
        options = Offered.named_by_letters(within)
    answer = row.get("answer")
    if options.texts:
        asked = choice(question, options, answer, place, *BY_LETTER)
    else:
        asked = open_answer(answer)
        if LONE.fullmatch(str(asked["answer"])):
            raise RowError(
                "bad_options",
                f"the answer is {asked['answer']!r}, but no options are found that a letter could "
                "name: give them as a list, or as lettered lines of the question.",
            )
        if kind in (2, 3, "2", "3"):
            asked["answer_type"] = "ocr"
    yield {
        **named("uno_bench", row, "qid", "id"),
        **asked,
        "question": question,
        "media": in_order(media, question, options.texts),
        "facts": facts(row, "subset_name", "score_type"),
    }


TAGGED_BENCHMARKS: tuple[Format, ...] = (
    Format(
        name="av_odyssey",
        fields=frozenset({"question_id", "question", "options", "subfield", "data_type"}),
        adapt=av_odyssey,
        test=True,
    ),
    Format(
        name="uno_bench",
        fields=frozenset({"qid", "question", "score_type", "subset_name"}),
        adapt=uno_bench,
        test=True,
    ),
)
