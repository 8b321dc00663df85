"""Fit an encoder: `python -m jobs.fit_encoder CATALOG... --out FOLDER` is `hashsearch fit CATALOG... --out FOLDER`."""

from hashsearch.cli.main import main

if __name__ == "__main__":
    main(["fit"])
