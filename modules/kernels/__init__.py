"""Attention, log-probabilities and divergences, fast and beside a plain twin."""
