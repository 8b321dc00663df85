"""Near-duplicates of an index: all pairs, their groups, the image to keep, lists and contact sheets."""
