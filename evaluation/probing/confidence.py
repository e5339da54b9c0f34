"""Whether a probe that scores options is as often right as it is sure."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

BINS = 15
"""Of equal width between 0 and 1, as in most papers (arXiv 1706.04599)."""

LEGEND = (
    f"ECE: expected calibration error, {BINS} bins: by how much the probability of the likeliest "
    "option misses the share of right ones."
)


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.int64]) -> float:
    """Average the distance of confidence and accuracy over bins, each weighed by its answers.

        sum_b  n_b / n  | mean confidence in b - share of right answers in b |

    NaN without an answer. Shapes: confidence, right (answers,)
    """
    if not len(confidence):
        return math.nan
    from torchmetrics.functional.classification import binary_calibration_error  # noqa: PLC0415 - a second

    sure, truth = torch.from_numpy(confidence), torch.from_numpy(right)  # (answers,)
    error = binary_calibration_error(sure, truth, n_bins=BINS, norm="l1", validate_args=False)
    return float(error)
