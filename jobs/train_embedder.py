"""Train an embedder by a recipe: `python -m jobs.train_embedder RECIPE --data FOLDER --out FOLDER`."""

from hashsearch.cli.jobs.train_embedder import main
from hashsearch.cli.options import run_reporting_errors

if __name__ == "__main__":
    run_reporting_errors(main)
