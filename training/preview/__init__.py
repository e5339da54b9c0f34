"""Show what a training would give its model, before it is trained; no weights are loaded."""
