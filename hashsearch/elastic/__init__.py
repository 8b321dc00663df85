"""The search index: Elasticsearch itself, what is stored in it, how it is written and asked."""
