"""Stages in a row, planned beforehand and compared afterwards."""
