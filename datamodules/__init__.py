"""From files to batches: questions, media, prompts, and which of them are learned from."""
