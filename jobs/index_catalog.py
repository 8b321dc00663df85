"""Index a catalog: `python -m jobs.index_catalog CATALOG`."""

from hashsearch.cli.jobs.index_catalog import main
from hashsearch.cli.options import run_reporting_errors

if __name__ == "__main__":
    run_reporting_errors(main)
