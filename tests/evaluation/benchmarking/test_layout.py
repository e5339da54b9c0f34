"""Tables of large benchmarks: what stands where, once, and within a hundred columns."""

from dataclasses import replace

from evaluation.benchmarking.report import Ablation, Comparison, Grounding, Mean, Report
from evaluation.benchmarking.tables import short_names
from evaluation.statistics.intervals import Interval
from evaluation.statistics.significance import ComparisonRow
from tests.evaluation.benchmarking.test_tables import LINE, REPORT, ROW, SCORE, table_of


def otherwise(report: Report) -> list[str]:
    """The rows of the table of scores by other rules, with one space between cells."""
    lines = table_of(report)
    at = next(n for n, text in enumerate(lines) if text.endswith("score by that"))
    return [" ".join(text.split()) for text in lines[at + 2 :]]


def test_views_official_rules_and_orders_have_rows_below_where_there_are_any():
    left = Interval(mean=0.25, low=0.0, high=0.5, n=3, clusters=3)
    full = replace(
        LINE,
        clean={"omniclean": left},
        official={"score": 0.6, "counted": 7.0},
        all_orders=0.5,
        text_only=0.41,
    )
    report = replace(REPORT, lines=[full])
    lines = table_of(report)
    assert lines[2].startswith("set  ")  # a view comes before the familiar table
    assert lines[4].endswith("41.0")
    assert otherwise(report)[:3] == [
        "music base official 7 62.5 [50.0, 75.0] 60.0",
        "music base all orders 8 62.5 [50.0, 75.0] 50.0",
        "music base clean, omniclean 3 62.5 [50.0, 75.0] 25.0 [0.0, 50.0]",
    ]


def test_an_official_score_of_nothing_is_none():
    line = replace(LINE, official={"score": 0.0, "counted": 0.0})
    assert otherwise(replace(REPORT, lines=[line]))[0].endswith("official 0 62.5 [50.0, 75.0] -")


def test_clean_means_stand_beside_raw_ones():
    lower = replace(SCORE, mean=0.25, low=0.0, high=0.5, n=3)
    line = replace(LINE, clean={"omniclean": lower})
    mean = Mean(
        checkpoint="base",
        macro=SCORE,
        weighted=replace(SCORE, mean=0.7),
        clean={"omniclean": (lower, replace(lower, mean=0.3))},
    )
    report = replace(REPORT, lines=[line, replace(line, set="speech")], means=[mean])
    assert otherwise(report)[2:4] == [
        "macro mean base clean, omniclean 3 62.5 [50.0, 75.0] 25.0 [0.0, 50.0]",
        "weighted mean base clean, omniclean 3 70.0 [50.0, 75.0] 30.0 [0.0, 50.0]",
    ]


FIVE = ["mmau/mmau-test-mini.json", "daily_omni/qa.json", "worldsense/qa.parquet"]
FIVE += ["omnibench/omnibench.parquet", "av_odyssey/av_odyssey.parquet"]


def test_sets_are_called_by_their_files_where_that_tells_them_apart():
    assert [*short_names(FIVE).values()] == [
        *("mmau-test-mini", "daily_omni/qa", "worldsense/qa", "omnibench", "av_odyssey")
    ]
    assert short_names(["a/b.json", "a/b.csv", "v1.5", "a/c+d/e.json"]) == {
        "a/b.json": "a/b.json",
        "a/b.csv": "a/b.csv",
        "v1.5": "v1.5",
        "a/c+d/e.json": "c+e",
    }


def test_no_line_of_a_large_report_is_wider_than_a_hundred_columns():
    """Five sets, two checkpoints, two views, every order, six conditions: 43.2 [41.0, 45.4]."""
    score = Interval(mean=0.432, low=0.41, high=0.454, n=12_345, clusters=4_321)
    point = replace(score, mean=-0.102, low=-0.131, high=-0.073)
    models = ("baseline-3b_", "audio-rlvr-b")
    clean = {"omniclean": score, "calibrated": score}
    lines = [
        replace(
            LINE,
            set=one,
            checkpoint=name,
            score=score,
            clean=clean,
            all_orders=0.321,
            official={"score": 0.5, "counted": 11_111.0},
        )
        for one in FIVE
        for name in models
    ]
    means = [
        Mean(
            checkpoint=name, macro=score, weighted=score, clean=dict.fromkeys(clean, (score, score))
        )
        for name in models
    ]
    row = ComparisonRow(
        questions="need the media", scores=dict.fromkeys(models, score), difference=point, p=0.0001
    )
    shown = [f"no_{part}:{how}" for part in ("audio", "visual") for how in ("silent", "mismatched")]
    report = replace(
        REPORT,
        heading="benchmarks: accuracy in percent, 95% intervals clustered by asset, and their p",
        lines=lines,
        means=means,
        comparisons=[
            Comparison(set=one, rows=[row], smallest=0.0123, discordance=0.01) for one in FIVE
        ],
        ablations=[
            Ablation(
                set=one, setting=setting, checkpoint=name, full=score, left=score, difference=point
            )
            for one in FIVE
            for name in models
            for setting in [*shown, "text_only:mismatched", "text_only"]
        ],
        groundings=[
            Grounding(set=one, checkpoint=name, measure="pictures' effect E_V", value=point)
            for one in FIVE
            for name in models
        ],
        notes=["of 300 questions of test, " + 20 * "none is about an asset that it heard, "],
    )
    assert [text for text in table_of(report) if len(text) > 100] == []


def test_one_checkpoint_on_several_sets_has_tables_of_groups_alone():
    """Of two sets one has groups: the other's table would only say its overview line again."""
    grouped = [ROW, replace(ROW, questions="  piano")]
    report = replace(
        REPORT,
        lines=[LINE, replace(LINE, set="speech")],
        means=[Mean(checkpoint="base", macro=SCORE, weighted=SCORE, clean={})],
        comparisons=[
            Comparison(set="music", rows=[ROW], smallest=None),
            Comparison(set="speech", rows=grouped, smallest=None),
        ],
    )
    told = table_of(report)
    assert "speech" in told and "music" not in told
    assert sum(text.startswith("all questions ") for text in told) == 1
