"""Name the clusters of a catalog: `python -m jobs.label_clusters export CATALOG... --out TABLE.parquet`."""

from hashsearch.cli.jobs.label_clusters import main
from hashsearch.cli.options import run_reporting_errors

if __name__ == "__main__":
    run_reporting_errors(main)
