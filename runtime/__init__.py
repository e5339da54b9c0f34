"""A run as a process: its directory, its files, signals, and errors in one sentence."""
