"""The JSON that is installed in Elasticsearch: component and index templates, readable by curl too."""
