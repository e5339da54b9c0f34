"""Set up the environment, and list the code."""
