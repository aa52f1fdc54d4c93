"""What networks say of accounts themselves."""
