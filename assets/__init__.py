"""The tiny model, the known test questions, and how both are made."""
