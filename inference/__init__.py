"""Frozen models: load one, and ask it a whole set of questions."""
