"""Answers in every notation, as the one that a sample holds."""
