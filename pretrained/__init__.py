"""Load models and processors of strangers as data, never as code."""
