"""What wafleet does in figures, each beside what this machine could do at best."""
