"""The search index: the Elasticsearch client, what is stored in an index, and how it is written and searched."""
