"""Calls of providers: taken in, checked, stored, and only then answered."""
