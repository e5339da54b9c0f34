"""The seventeen promises of docs/reliability.md, each tried as often as the page says."""
