"""Identify media files and check that they are complete, without decoding them."""
