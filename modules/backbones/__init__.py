"""Kinds of models, by their parts."""
