"""A local Elasticsearch for trying and testing."""
