"""Stand-ins of providers: their HTTP contracts, on the simulated network."""
