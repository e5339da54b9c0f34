"""Frozen models: load one, and run it over a set of questions."""
