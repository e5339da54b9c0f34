"""Find, decode, limit and withhold media."""
