"""A file for each file tested, in the same folder."""
