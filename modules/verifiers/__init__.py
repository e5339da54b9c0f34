"""Whether a completion is right, by rules alone."""
