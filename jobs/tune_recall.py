"""Tune an index: `python -m jobs.tune_recall --target 0.99` is `hashsearch tune --target 0.99`."""

from hashsearch.cli.main import main

if __name__ == "__main__":
    main(["tune"])
