"""Data sets, distortions and tasks."""
