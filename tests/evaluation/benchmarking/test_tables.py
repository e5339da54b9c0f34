"""Tables of benchmarks: what they must hold, and that one without it is not written."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from configs.load import load_config
from datamodules.loading.question_set import QuestionSet
from datamodules.prompts.encoder import PromptEncoder
from datamodules.sample import Media
from datamodules.sources.quarantine import Quarantine
from evaluation.benchmarking.aggregates import ClusteredScores, over_sets
from evaluation.benchmarking.answers import Answer
from evaluation.benchmarking.datasets import BenchmarkSet
from evaluation.benchmarking.metrics import ablations, groundings, mean_of, score_row
from evaluation.benchmarking.report import Ablation, Comparison, Grounding, Mean, Report, ScoreRow
from evaluation.benchmarking.scoring import GradedAnswer, SetScores, official, set_scores
from evaluation.benchmarking.tables import check_complete, render
from evaluation.statistics.intervals import Interval
from evaluation.statistics.significance import compare_models
from modules.verifiers.publisher import official_score
from modules.verifiers.verify import NOTHING, verify
from tests.conftest import make_sample

SURE = {"confidence": 0.95}
SCORE = Interval(mean=0.625, low=0.5, high=0.75, n=8, clusters=4)
LINE = ScoreRow(
    set="music",
    checkpoint="base",
    score=SCORE,
    unparsed=0.125,
    missing=0.25,
    first_option=0.3,
    longest_option=0.35,
    text_only=None,
    clean={},
    official=None,
    all_orders=None,
    given_away=None,
)
ROW = compare_models("all questions", {"base": [1, 0, 1]}, list("abb"), **SURE)
REPORT = Report(
    heading="here",
    lines=[LINE],
    means=[],
    comparisons=[Comparison(set="music", rows=[ROW], smallest=None)],
    ablations=[],
    groundings=[],
)


def table_of(report: Report) -> list[str]:
    return render(report).splitlines()


def test_one_set_without_a_view_begins_with_the_familiar_table():
    lines = table_of(REPORT)
    assert lines[0] == "here"
    assert lines[2].split() == ["questions", "n", "clusters", "base"]
    assert "all questions  3" in lines[4]


def test_the_overview_holds_all_that_a_score_needs():
    lines = table_of(REPORT)
    at = next(n for n, text in enumerate(lines) if text.startswith("set"))
    assert lines[at].split()[:4] == ["set", "checkpoint", "n", "score"]
    assert lines[at].split()[4:] == ["unparsed", "missing", "first", "longest", "text", "only"]
    assert " ".join(lines[at + 2].split()) == (
        "music base 8 62.5 [50.0, 75.0] 12.5 25.0 30.0 35.0 not asked"
    )


def test_two_checkpoints_are_told_what_could_have_been_found():
    pair = compare_models(
        "all questions", {"base": [1, 0, 1], "new": [1, 1, 0]}, list("abc"), **SURE
    )
    for smallest, told in (
        (0.043, "difference of 4.3 points on all questions would have been found with 80% power"),
        (0.043, "at this n, discordance and clustering."),
        (0.123, "12.3 points on all questions would have been found with 80% power, at this n and"),
        (0.123, "That takes a discordance above the 5.0% found, all of it one way."),
        (math.inf, "a true difference of 100 points would not be found with 80% power"),
        (math.nan, "never differ"),
    ):
        found = Comparison(set="music", rows=[pair], smallest=smallest, discordance=0.05)
        lines = [LINE, replace(LINE, checkpoint="new")]
        text = render(replace(REPORT, lines=lines, comparisons=[found]))
        assert told in " ".join(text.split())


def test_several_sets_come_with_their_means_and_names():
    sets = [LINE, replace(LINE, set="speech")]
    mean = Mean(checkpoint="base", macro=SCORE, weighted=SCORE, clean={})
    told = table_of(replace(REPORT, lines=sets, means=[mean]))
    assert any(text.startswith("macro mean     base") for text in told)
    assert any(text.startswith("weighted mean  base") for text in told)


def test_what_is_shown_less_and_its_worth_have_tables():
    ablated = Ablation(
        set="music",
        setting="no_audio:silent",
        checkpoint="base",
        full=SCORE,
        left=SCORE,
        difference=replace(SCORE, mean=0.1, low=-0.1, high=0.3, n=5),
    )
    undefined = replace(SCORE, mean=math.nan, low=math.nan, high=math.nan)
    worth = Grounding(set="music", checkpoint="base", measure="shortcut index", value=undefined)
    told = render(replace(REPORT, ablations=[ablated], groundings=[worth]))
    assert "\nmusic, base\n" in told
    assert "\n  no_audio:silent  5  62.5 [50.0, 75.0]  62.5 [50.0, 75.0]" in told
    assert "+10.0 [-10.0, +30.0]" in told
    assert "undefined" in told


@pytest.mark.parametrize(
    ("lacking", "word"),
    [
        ({"score": replace(SCORE, n=0, mean=math.nan)}, "questions"),
        ({"score": replace(SCORE, low=math.nan)}, "an interval"),
        ({"unparsed": math.nan}, "the unparsed share"),
        ({"missing": math.nan}, "the missing share"),
        ({"first_option": math.nan}, "blind baselines"),
        ({"longest_option": math.nan}, "blind baselines"),
    ],
)
def test_a_table_that_hides_what_a_score_rests_on_is_refused(lacking, word):
    with pytest.raises(ValueError, match=rf"music lacks {word} of base, but a score is only shown"):
        render(replace(REPORT, lines=[replace(LINE, **lacking)]))


def test_a_checkpoint_without_its_line_is_refused():
    pair = compare_models("all", {"base": [1, 0], "new": [1, 1]}, list("ab"), **SURE)
    report = replace(REPORT, comparisons=[Comparison(set="music", rows=[pair], smallest=None)])
    with pytest.raises(ValueError, match="music lacks everything of new"):
        check_complete(report)
    with pytest.raises(ValueError, match="lacks everything"):
        check_complete(replace(REPORT, lines=[], comparisons=[]))


def test_a_set_about_one_asset_has_no_interval_and_is_shown_all_the_same():
    lone = replace(SCORE, low=math.nan, high=math.nan, clusters=1)
    assert "62.5 [-]" in render(replace(REPORT, lines=[replace(LINE, score=lone)]))


def test_a_mean_over_sets_is_shown_without_what_it_lacks():
    """No interval where a set has one cluster, and no mean where a view keeps nothing of a set."""
    whole = ClusteredScores(right=np.array([1.0, 0.0]), cluster=["a", "b"])
    lone = ClusteredScores(right=np.array([1.0, 1.0, 0.0, 1.0]), cluster=["c"] * 4)
    nothing = ClusteredScores(right=np.array([]), cluster=[])
    macro = over_sets([whole, lone], **SURE, weighted=False)
    clean = over_sets([whole, nothing], **SURE, weighted=False)
    sets = [LINE, replace(LINE, set="speech")]
    mean = Mean(checkpoint="base", macro=macro, weighted=macro, clean={"omniclean": (clean, clean)})
    told = render(replace(REPORT, lines=sets, means=[mean]))
    assert "62.5 [-]" in told and "nan" not in told


def test_results_hold_no_number_that_json_lacks():
    told = REPORT.as_dict()
    assert told["rows"][0]["questions"] == "all questions"
    assert told["rows"][0]["set"] == "music"
    told = replace(REPORT, lines=[replace(LINE, text_only=math.nan)]).as_dict()
    assert told["lines"][0]["text_only"] is None
    json.dumps(told, allow_nan=False)


SAMPLES = [
    replace(make_sample(name), media=media, source="mmsu")
    for name, media in {
        "film": (Media(modality="video", path="f"),),
        "sound": (Media(modality="audio", path="s"),),
        "picture": (Media(modality="image", path="p"),),
        "option": (Media(modality="audio", path="o", role="option"),),
    }.items()
]
"""Questions with options 3, 8 and 5, of which B is right."""


@pytest.fixture
def music(tiny_encoder: PromptEncoder) -> BenchmarkSet:
    """Four questions, a row that is none, and a view that keeps the film and the picture."""
    config = load_config(["stage=benchmark"], ("benchmark",))
    questions = QuestionSet(
        SAMPLES,
        data=config.data,
        encoder=tiny_encoder,
        quarantine=Quarantine(max_bad_share=1),
        manifest_rows=5,
    )
    return BenchmarkSet(
        name="music",
        questions=questions,
        malformed=1,
        views={"omniclean": np.array([True, False, True, False])},
        settings=["full"],
        n_orders=1,
        mismatch_digest="",
    )


def answered(texts: list[str | None]) -> list[list[GradedAnswer]]:
    """Judge one answer to each question, None where it could not be shown."""
    return [
        [
            GradedAnswer(
                sample=sample,
                setting="full",
                order=0,
                places=(0, 1, 2),
                answer=Answer(prompt="", completion=text),
                verdict=NOTHING if text is None else verify(text, sample=sample),
                official=None if text is None else official_score(sample, text),
            )
        ]
        for sample, text in zip(SAMPLES, texts, strict=True)
    ]


def test_shares_are_of_all_rows_of_the_manifest(music):
    """Right, unreadable, not shown, wrong, and a row that is no question: 1/5, 1/5 and 2/5."""
    found = set_scores(music, answered(["B", "?!", None, "C"]))
    told = score_row(music, "base", {"full": found}, official=None, described=False, **SURE)
    assert (told.score.mean, told.unparsed, told.missing) == (0.2, 0.2, 0.4)
    assert (told.score.n, told.score.clusters) == (5, 5)
    assert told.text_only is None
    assert (told.clean["omniclean"].mean, told.clean["omniclean"].n) == (0.5, 2)
    assert told.longest_option == pytest.approx(4 / 3 / 5)  # a guess among three, four times


def test_the_blind_baseline_is_shown_text_alone(music):
    """The media of others, or words for its own, are something to go by: 2/5 is no baseline."""
    names = ("full", "text_only:mismatched", "text_only:described")
    found = {name: of([1, 1, 0, 0]) for name in names}
    usual = {"official": None, "described": False, **SURE}
    assert score_row(music, "base", found, **usual).text_only is None
    found["text_only"] = of([1, 0, 0, 0])
    assert score_row(music, "base", found, **usual).text_only == 0.2


def test_the_official_score_stands_on_its_own_denominator():
    """MMSU leaves out what it cannot read: of B and C one is right; ours is 1 of 4."""
    found = answered(["B", "?!", None, "C"])
    told = official(found)
    assert told is not None
    assert (told["score"], told["counted"]) == (0.5, 2)


def of(right: list[float], missing: list[float] | None = None) -> SetScores:
    """An set_scores of the four questions and one malformed row."""
    none = np.zeros(5)
    return SetScores(
        right=np.array([*right, 0.0]),
        all_right=none,
        unparsed=none,
        missing=np.array([*(missing or [0.0] * 4), 1.0]),
        first_option=none,
        longest_option=none,
        given_away=none,
    )


def test_less_is_shown_only_where_there_is_something_to_take(music):
    """Without sound: the film and the sound, not the picture, and not sounds that are options."""
    found = {"full": of([1, 1, 0, 1]), "no_audio": of([1, 0, 0, 0])}
    [told] = ablations(music, "base", found, **SURE)
    assert told.difference.n == 2
    assert (told.full.mean, told.left.mean, told.difference.mean) == (1, 0.5, 0.5)


def test_what_could_not_be_shown_says_nothing_of_what_was_withheld(music):
    found = {"full": of([1, 1, 0, 1]), "no_audio": of([1, 0, 0, 0], [0, 1, 0, 0])}
    [told] = ablations(music, "base", found, **SURE)
    assert (told.difference.n, told.difference.mean) == (1, 0)


def test_conditions_are_held_against_full_only(music):
    assert ablations(music, "base", {"no_audio": of([1] * 4)}, **SURE) == []


def test_the_swap_grid_takes_questions_with_sound_and_pictures(music):
    """The film alone has both; the audio score also takes the sound."""
    names = ("no_audio:silent", "no_audio:mismatched", "no_visual:mismatched")
    found = {name: of([0] * 4) for name in (*names, "text_only:mismatched")}
    told = groundings(music, "base", {"full": of([1] * 4), **found}, **SURE)
    sizes = {each.measure: (each.value.n, each.value.mean) for each in told}
    assert sizes["audio score S"] == (2, 1)
    assert sizes["shortcut index"] == (1, 0.5)
    assert groundings(music, "base", {"full": of([1] * 4)}, **SURE) == []


def test_a_clean_mean_needs_a_view_of_every_set(music):
    both = [music, replace(music, views={})]
    found = [of([1, 0, 0, 0]), of([1, 1, 0, 0])]
    told = mean_of("base", both, found, **SURE)
    assert told.clean == {}
    assert told.macro.mean == pytest.approx((1 / 5 + 2 / 5) / 2)
    told = mean_of("base", both[:1] * 2, found, **SURE)
    macro, weighted = told.clean["omniclean"]
    assert macro.mean == weighted.mean == 0.5
