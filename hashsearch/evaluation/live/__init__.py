"""What is measured of an index in use."""
