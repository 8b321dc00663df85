# hashsearch without a local Elasticsearch, so without Java: HASHSEARCH_ES_URL names the cluster.
FROM python:3.12-slim
# The working folder is the repository, so `python -m jobs.NAME` works beside the `hashsearch` command.
WORKDIR /srv/hashsearch
COPY . .
RUN pip install --no-cache-dir '.[parquet]' \
    && useradd --system hashsearch \
    && install --directory --owner hashsearch /var/lib/hashsearch
ENV HASHSEARCH_HOME=/var/lib/hashsearch
USER hashsearch
CMD ["hashsearch", "serve"]
