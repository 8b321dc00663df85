"""Index a catalog: `python -m jobs.index_catalog CATALOG` is `hashsearch index CATALOG`."""

from hashsearch.cli.main import main

if __name__ == "__main__":
    main(["index"])
