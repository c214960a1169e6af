"""Measuring the platform, and its peers beside it."""
