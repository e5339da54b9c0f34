"""From published rows to samples."""
