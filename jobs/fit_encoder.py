"""Fit an encoder on a sample of catalogs: `python -m jobs.fit_encoder CATALOG... --out FOLDER`."""

from hashsearch.cli.jobs.fit_encoder import main
from hashsearch.cli.options import run_reporting_errors

if __name__ == "__main__":
    run_reporting_errors(main)
