"""A catalog to try the search on: a print shop's products, drawn by this package, each design in four pictures."""

from hashsearch.demo.catalog import QueryPhoto, draw_catalog, draw_queries

__all__ = ["QueryPhoto", "draw_catalog", "draw_queries"]
