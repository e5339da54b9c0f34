"""What a file says about its own length, read without decoding any of it."""
