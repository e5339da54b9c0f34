"""What each script divides by, over the same replies and three rows that nobody could read."""

from dataclasses import replace

import pytest

from modules.verifiers.publisher import official_score, official_summary
from tests.golden_choices import golden_sample

SAID = [
    *("B", "", "   ", None, "I cannot see it, sorry", "\n", "Error: film", "Video file not found"),
    *("None", "(B)", "b", "blue dog", "<answer>B</answer>", "<think>A</think>B", "B.\n"),
    *("The answer is (B).", "\\boxed{B}", "/box{B}", "/BOX{B}", "<answer></answer>", "  B"),
    *("No. B", "C or B"),
]
OPTIONS = ("red cat", "blue dog", "green owl", "grey fox")
COUNTED = {
    "mmau": (1, 22),  # None has no output: 23 - 1
    "mmar": (1, 22),
    "mmsu": (11, 12),  # 8 letters at either end, "C or B" wrong; 4 empty ones repeat the last, B
    "daily_omni": (5, 22),  # B, b, "blue dog", "B.", "  B"
    "video_mme": (10, 12),  # 10 begin with B, one with the A that was thought, one with C
    "worldsense": (10, 26),  # the same, but all 23 count, and the 3
    "video_holmes": (10, 26),
    "omnibench": (8, 26),
    "av_odyssey": (11, 26),  # of "C or B" the first of the alphabet
    "omnivideobench": (9, 20),  # without two notes of failure
    "intentbench": (1, 26),
}


@pytest.mark.parametrize("source", COUNTED)
def test_every_script_counts_what_it_counts(source):
    sample = replace(golden_sample("choice", "B", *OPTIONS), source=source)
    pairs = [(sample, official_score(sample, said or "")) for said in SAID]
    right, counted = COUNTED[source]
    summary = official_summary(source, pairs, SAID, malformed=3)
    assert summary == {"score": pytest.approx(right / counted), "counted": counted}


def test_counts_are_read_as_their_script_does():
    """Of 23 that count 8 are 7 and one is 7.5; ten are read as nothing, which is 7 away; the others
    are 20, 7 + 8, 70 and 107: 70 + 0.5 + 13 + 8 + 63 + 100 = 254.5."""
    said = [
        *("7", "seven", "about seven", "minus seven", "07", "answer: seven", "Seven", "seven-"),
        *("seven point five", "twenty", "seven or eight", "seventy", "one hundred and seven"),
        *("7\n", " 7", "7.", "", "7 times", "七", "7.0", "SEVEN.", None),
        *("<answer>7</answer>", "<answer>seven</answer>"),
    ]
    sample = replace(golden_sample("number", "7"), source="cg_av_counting")
    pairs = [(sample, official_score(sample, text or "")) for text in said]
    assert official_summary("cg_av_counting", pairs, said, malformed=3) == {
        "score": pytest.approx(8 / 23),
        "counted": 23,
        "off_by_one": pytest.approx(9 / 23),
        "mae": pytest.approx(254.5 / 23),
        "rmse": pytest.approx((14_692.25 / 23) ** 0.5),
    }
