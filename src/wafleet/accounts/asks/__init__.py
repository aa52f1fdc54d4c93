"""Questions to an account's network, answered by the node that holds its session."""
