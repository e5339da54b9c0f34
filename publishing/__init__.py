"""Weights that leave: the card beside them, and how both are pushed to the hub."""
