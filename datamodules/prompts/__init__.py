"""From a question and its media to the tokens and positions of a model."""
