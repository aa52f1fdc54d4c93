"""Ordinary WhatsApp numbers, linked as a phone links a browser; each is run by a worker process of its own."""
