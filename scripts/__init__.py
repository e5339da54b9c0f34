"""Set up the environment, list the code, and draw the README's picture."""
