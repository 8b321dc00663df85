"""Train an embedder: `python -m jobs.train_embedder RECIPE` is `hashsearch train RECIPE`."""

from hashsearch.cli.main import main

if __name__ == "__main__":
    main(["train"])
