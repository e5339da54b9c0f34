"""The worst questions and answers that can be written, for `python -m bench.worst`.

What is judged is as long as anything that is looked at, and what is asked as long as a row may ask;
both are made of what costs readers most: marks, nesting, and the beginnings of what they look for.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.verifiers import GIANTS, SAMPLES
from bench.worst_case import Case
from configs.rewards import RewardConfig
from configs.rlvr import RlvrConfig
from datamodules.contamination.near_duplicates import near_duplicates
from datamodules.media.files import MediaError
from datamodules.prompts.encoder import PromptEncoder
from datamodules.sample import Sample
from datamodules.sources.adapter import Place
from datamodules.sources.bounds import LONGEST_TEXT
from datamodules.sources.fields.columns import offered
from datamodules.sources.fields.hints import looks_like
from datamodules.sources.generic.question_text import parts_of
from datamodules.sources.published.known_tests import known_set
from datamodules.sources.published.subtitles import LONGEST_SUBTITLES, subtitles
from modules.rewards.completion import Completion
from modules.rewards.evidence_reward import leaks_answer
from modules.rewards.verifier_reward import Group, VerifierReward
from modules.verifiers.extraction import MAX_CHARACTERS
from modules.verifiers.golds import wrong_golds
from modules.verifiers.publisher import official_score
from modules.verifiers.trace_filters import quality
from modules.verifiers.verify import verify

TINY = Path(__file__).parent.parent / "assets" / "tiny"

WORST: Mapping[str, str] = {
    "marks": "\u0316\u0301",
    "marks of two": "\u0f73",
    "marks on letters": "é\u0316",
    "brackets": "(",
    "values in brackets": "((1,2),",
    "operators": "- 1 ",
    "numbers and units": "1.5 km ",
    "dates": "jan 1, ",
    "factorials": "5!",
    "quotes": "'\"",
    "words": "a red dog ",
    "letters": "a ",
    "options": "A. x\nB. y\n",
    "tags": "<answer>",
    "ends of tags": "</answer>",
    "thoughts": "</think><answer>",
    "boxes": "\\boxed{",
    "conclusions": "so the answer is ",
    "doubts": "i cannot hear the ",
    "tokens": "<|im_",
    "places": "<image> ",
    "lists": "['a', ",
    "lines": "\n",
    "spaces": " ",
    "wide": "（",
    "Chinese": "中，",
    "ligatures": "ﷺ",
}
"""What a text is made of, over and over."""


def _long(pattern: str, length: int = MAX_CHARACTERS) -> str:
    return (pattern * (length // len(pattern) + 1))[:length]


def _case(room: str, name: str, do: Callable[[], object]) -> Case:
    """Do something that reads no file; what it needs once is there before."""
    return Case(room=room, name=name, run=partial(_done, do=do))


def _done(folder: Path, do: Callable[[], object]) -> str:
    try:
        return str(do())[:80]
    except (ValueError, RecursionError) as error:
        return f"refused: {error}"


FREE = replace(SAMPLES[4], completion=SAMPLES[4].answer)
"""A question whose words are asked for as they come."""

NAMED = {one.answer_type: one for one in SAMPLES} | {"free words": FREE}


def _judged(sample: Sample, text: str) -> Callable[[], object]:
    return lambda: verify(f"<answer>{text}</answer>", sample=sample).parsed


JUDGES = (
    *(
        _case("judges", f"{name}: {made}", _judged(sample, _long(WORST[made])))
        for name, sample in NAMED.items()
        for made in ("marks", "marks of two", "values in brackets", "numbers and units", "words")
    ),
    *(
        _case("judges", f"math: {giant[:24]}", _judged(NAMED["math"], giant))
        for giant in GIANTS[:3]
    ),
    *(
        _case("judges", f"a megabyte of {made}", partial(verify, _long(made, 10**6), sample=one))
        for made, one in zip(("tags", "boxes", "thoughts"), SAMPLES, strict=False)
    ),
)


def _gold(sample: Sample) -> Callable[[], object]:
    return lambda: wrong_golds([sample], "letter")


LONGEST = (_long("a red dog ", LONGEST_TEXT), _long("é\u0316", LONGEST_TEXT))

GOLDS = (
    *(_case("golds", f"text: {a[:6]!r}", _gold(replace(SAMPLES[4], answer=a))) for a in LONGEST),
    *(_case("golds", f"ocr: {a[:6]!r}", _gold(replace(SAMPLES[6], answer=a))) for a in LONGEST),
    _case("golds", "set of 10,000",
          _gold(replace(SAMPLES[2], answer=", ".join(f"item{n}" for n in range(10_000))))),
    _case("golds", "ten options",
          _gold(replace(SAMPLES[0], options=tuple(f"{n}{LONGEST[1]}" for n in range(10))))),
)  # fmt: skip


def _rewarded(text: str) -> Callable[[], object]:
    """Reward a completion by all parts at once."""
    config = RlvrConfig(
        reward=RewardConfig(accuracy_rule="exact", format_rule="think", length=0.2, overlong=0.1)
    )
    reward = VerifierReward(config)
    completion = Completion(text=text, tokens=8, finished=True)
    return lambda: reward([Group(sample=SAMPLES[4], completions=[completion])], step=0)[0][0].reward


def _official(text: str) -> Callable[[], object]:
    """Score a completion by every publisher's rule."""
    return lambda: [official_score(replace(SAMPLES[0], source=one), text) for one in PUBLISHERS]


PUBLISHERS = (
    *("mmau", "mmar", "mmsu", "daily_omni", "video_mme", "worldsense", "intentbench"),
    *("video_holmes", "omnibench", "av_odyssey", "omnivideobench"),
)

REWARDS = tuple(
    _case(room, made, do(_long(WORST[made], length)))
    for made in ("marks", "words", "tags", "boxes", "thoughts", "brackets")
    for room, do, length in (
        ("rewards", _rewarded, 10**6),
        ("official", _official, 10**5),
        ("traces", lambda text: lambda: quality(text), MAX_CHARACTERS),
        ("evidence", lambda text: lambda: leaks_answer(text, SAMPLES[0]), MAX_CHARACTERS),
    )
)


ENCODER = PromptEncoder(str(TINY))


def _asked(text: str) -> Callable[[], object]:
    """Write a prompt and what is imitated."""
    sample = replace(SAMPLES[0], question=text, completion=text, answer_with=ENCODER.answer_with)

    def write() -> str:
        try:
            tokens = len(ENCODER.prompt(sample, []).token_ids)
            return f"{tokens} and {len(ENCODER.target(sample))} tokens"
        except MediaError as error:
            return f"refused: {error.kind}"

    return write


PROMPTS = tuple(
    _case("prompts", made, _asked(_long(WORST[made], LONGEST_TEXT)))
    for made in ("words", "marks", "tokens", "spaces", "lines", "Chinese", "letters")
)

_TEXTS = {made: _long(pattern, LONGEST_TEXT) for made, pattern in WORST.items()}

TEXTS = tuple(
    _case(room, made, partial(do, _TEXTS[made]))
    for made in ("options", "lists", "lines", "ligatures", "marks", "quotes", "words", "letters")
    for room, do in (
        ("known tests", lambda text: known_set(text, ())),
        ("near", lambda text: near_duplicates([text, text + "x"], [text])),
        ("questions", lambda text: parts_of(text, "A. x").chosen),
        ("fields", lambda text: looks_like("note", text)),
        ("cells", offered),
    )
)


def _subtitles(folder: Path, pattern: str, name: str) -> None:
    (folder / name).write_text(_long(pattern, LONGEST_SUBTITLES))


def _spoken(folder: Path, name: str) -> str:
    return f"{len(subtitles(Place(root=folder, directory='', name='a', number=1), name))} letters"


SUBTITLES = tuple(
    Case(
        room="subtitles",
        name=f"{name}: {pattern!r}",
        prepare=partial(_subtitles, pattern=pattern, name=name),
        run=partial(_spoken, name=name),
    )
    for name, pattern in (("a.srt", "<a"), ("a.srt", "1\n"), ("a.json", "[],"), ("a.json", "["))
)
