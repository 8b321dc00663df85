"""Train and compare embedders: `python -m jobs.compare_models STUDY` is `hashsearch compare models STUDY`."""

from hashsearch.cli.main import main

if __name__ == "__main__":
    main(["compare", "models"])
