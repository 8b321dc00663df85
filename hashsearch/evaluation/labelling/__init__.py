"""Ground truth from clusters of pictures that a person names."""
