"""Accounts that go over to another transport."""
