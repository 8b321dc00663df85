"""Nearest-neighbour methods compared in the style of ann-benchmarks: `vectors`, `run`, `report`."""
