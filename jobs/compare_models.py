"""Train and compare embedders: `python -m jobs.compare_models STUDY --data-folder FOLDER --out FOLDER`."""

from hashsearch.cli.jobs.compare_models import main
from hashsearch.cli.options import run_reporting_errors

if __name__ == "__main__":
    run_reporting_errors(main)
