"""The fields of a row: which of them holds what."""
