"""Retrieval metrics and their statistics: pure numpy."""
