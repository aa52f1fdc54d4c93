"""WhatsApp's linked-device server on loopback: one more face of the simulator's network.

The real client library links to it, logs in, sends and receives end-to-end encrypted messages, is disconnected, banned
and logged out. What its customers are told and what they write is the simulator's: the same ledger, the same faults.
"""
