"""Measuring an index in use: its quality night by night, and which search settings reach a recall."""
