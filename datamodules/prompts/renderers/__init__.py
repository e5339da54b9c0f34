"""How each kind of model is shown a question."""
