"""The model that is trained: encode media, read each prompt once, sample and score."""
