"""All near-duplicates of an index: `python -m jobs.find_duplicates --index NAME --out FOLDER`."""

from hashsearch.cli.jobs.find_duplicates import main
from hashsearch.cli.options import run_reporting_errors

if __name__ == "__main__":
    run_reporting_errors(main)
