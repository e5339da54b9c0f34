"""Scores with what they rest on, and comparisons between models."""
