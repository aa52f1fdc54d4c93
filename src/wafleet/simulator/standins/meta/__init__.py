"""A stand-in of Meta's Cloud API."""
