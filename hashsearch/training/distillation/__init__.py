"""A small network learns from a larger one."""
