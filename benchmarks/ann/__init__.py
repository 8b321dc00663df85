"""Nearest-neighbour methods side by side, in the manner of ann-benchmarks: vectors, run, report."""
