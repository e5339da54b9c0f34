"""Read what strangers wrote, within bounds: JSON, text, special files, servers."""
