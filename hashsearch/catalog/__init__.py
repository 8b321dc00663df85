"""Catalogs: what is to be indexed, read from dumps."""
