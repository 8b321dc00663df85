"""Catalogs: the images to index and what is known about them, read from folders and table files."""
