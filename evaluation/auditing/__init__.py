"""What every rule makes of the cached counts, and views of clean questions."""
