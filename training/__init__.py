"""Build and fit a training stage."""
