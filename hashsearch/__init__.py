"""hashsearch: image search by binary codes and exact cosine on stock Elasticsearch."""

__version__ = "0.1.0"
