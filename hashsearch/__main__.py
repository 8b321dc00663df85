"""`python -m hashsearch` is the `hashsearch` command."""

from hashsearch.cli.main import main

main()
