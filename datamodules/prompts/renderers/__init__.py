"""Render media into prompts, one file for each kind of model."""
