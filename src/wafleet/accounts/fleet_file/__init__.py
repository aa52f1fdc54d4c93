"""The fleet as a file."""
