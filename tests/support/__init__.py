"""What tests share: data with a known right answer, faults, a browser."""
