"""List near-duplicates: `python -m jobs.find_duplicates --out FOLDER` is `hashsearch duplicates --out FOLDER`."""

from hashsearch.cli.main import main

if __name__ == "__main__":
    main(["duplicates"])
