"""Learn visual words from a sample of catalogs: `python -m jobs.fit_vocabulary CATALOG... --out FILE`."""

from hashsearch.cli.jobs.fit_vocabulary import main
from hashsearch.cli.options import run_reporting_errors

if __name__ == "__main__":
    run_reporting_errors(main)
