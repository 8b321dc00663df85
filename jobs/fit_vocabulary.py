"""Learn visual words: `python -m jobs.fit_vocabulary CATALOG... --out FILE` is `hashsearch fit-vocabulary`."""

from hashsearch.cli.main import main

if __name__ == "__main__":
    main(["fit-vocabulary"])
