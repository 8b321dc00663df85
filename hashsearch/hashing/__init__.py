"""Embeddings to codes to sub-codes, in pure numpy."""
