"""Retrieval metrics, their statistics and maps of vectors."""
