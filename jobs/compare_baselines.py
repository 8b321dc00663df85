"""Compare methods: `python -m jobs.compare_baselines run CONFIG` is `hashsearch compare run CONFIG`."""

from hashsearch.cli.main import main

if __name__ == "__main__":
    main(["compare"])
