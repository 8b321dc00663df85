"""Compare methods on labelled pictures: `python -m jobs.compare_baselines run CONFIG --out RESULTS`."""

from hashsearch.cli.jobs.compare_baselines import main
from hashsearch.cli.options import run_reporting_errors

if __name__ == "__main__":
    run_reporting_errors(main)
