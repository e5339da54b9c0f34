"""Adapters of published data sets, and the questions of known test sets."""
