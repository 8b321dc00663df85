"""Catalog entries to documents in the index."""
