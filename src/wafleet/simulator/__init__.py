"""A whole WhatsApp network in a box: accounts, customers, faults, and a ledger of everything that crossed it.

world.py ties the parts together; server.py and client.py put a small local protocol between it and wafleet;
local.py does without. Nothing here knows anything of wafleet outside this package.
"""
