"""The HTTP client: one method for each operation of the API, typed answers, problems raised as `ApiError`."""

from wafleet.client.address import find, folders, read_published
from wafleet.client.client import Client, every
from wafleet.client.errors import ApiError, Unreachable

__all__ = ["ApiError", "Client", "Unreachable", "every", "find", "folders", "read_published"]
