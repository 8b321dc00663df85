"""Measuring a search: metrics (pure numpy)."""
