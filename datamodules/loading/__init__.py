"""Read questions and media in the order of training, and cut them into batches."""
