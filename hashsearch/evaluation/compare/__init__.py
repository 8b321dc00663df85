"""Comparing methods: a plan, its run, and the measured and judged results."""
