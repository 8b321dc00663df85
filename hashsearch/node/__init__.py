"""A local Elasticsearch node: its program, its Java, its account and its processes."""
