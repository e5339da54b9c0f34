"""The sizes of a digits set that is built in a second."""

from datamodules.digits.build import Sizes
from datamodules.digits.media_pool import Amount

AMOUNT = Amount(
    questions=300, pictures=20, drawings=2, voices=0.25, clips=20, pairs=4, sounds=8, videos=20
)
SPLITS = ("warm", "train", "val", "test")
SMALL = Sizes(
    splits=dict.fromkeys(SPLITS, AMOUNT), human_questions=40, human_takes=1, annotated_questions=500
)
