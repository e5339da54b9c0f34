"""Choices that settings and the losses that implement them share: types alone."""

from typing import Literal

Baseline = Literal["group", "leave_one_out", "batch"]
Scale = Literal["group", "batch", "none"]
Level = Literal["token", "sequence"]
Surrogate = Literal["clip", "cispo"]
Average = Literal["sequence", "token", "constant"]
Estimator = Literal["k1", "k2", "k3", "k3_corrected"]
Correction = Literal["none", "truncate", "mask"]
DivergenceKind = Literal["reverse_kl", "forward_kl", "jsd"]
AttentionKind = Literal["auto", "fused", "split", "dense"]
