"""Measurements. Run from a checkout."""
