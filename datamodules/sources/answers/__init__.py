"""Normalize the notations of answers."""
