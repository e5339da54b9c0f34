"""Large manifests, read once and kept in Arrow files."""
