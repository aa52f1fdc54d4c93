"""Whose call a webhook's call is."""
