"""Settings, each documented where it is defined, and the words of the command line."""
