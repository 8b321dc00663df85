"""Indexing: catalog entries become documents in the index."""
