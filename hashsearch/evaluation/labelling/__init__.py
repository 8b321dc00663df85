"""Labels for images: clusters that a person names become the categories of a catalog."""
