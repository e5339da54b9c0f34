"""One round of sampling: completions, their rewards, and prompts drawn again."""
