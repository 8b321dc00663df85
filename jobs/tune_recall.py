"""Find what to search an index with, and keep it there: `python -m jobs.tune_recall --target 0.99`."""

from hashsearch.cli.jobs.tune_recall import main
from hashsearch.cli.options import run_reporting_errors

if __name__ == "__main__":
    run_reporting_errors(main)
