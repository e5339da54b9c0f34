"""Probes, audits, benchmarks, and the statistics that they share."""
