"""The client library of linked devices that is installed: where it is, and its messages, without running it.

Importing the library itself would load a 19 MB program into this process, change its logging and, where the program is
missing, fetch it from the network. wafleet runs it in worker processes only.
"""

from wafleet.clientlib.installed import FULL_NAME, VERSION, Library, Unusable, find

__all__ = ["FULL_NAME", "VERSION", "Library", "Unusable", "find"]
