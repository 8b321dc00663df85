"""Name clusters: `python -m jobs.label_clusters export CATALOG...` is `hashsearch label export CATALOG...`."""

from hashsearch.cli.main import main

if __name__ == "__main__":
    main(["label"])
