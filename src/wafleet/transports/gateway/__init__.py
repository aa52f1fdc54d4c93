"""Numbers that an existing gateway holds: a server with the HTTP interface of WAHA.

Source of everything about that interface: https://waha.devlike.pro/docs/
"""

from wafleet.transports.gateway.transport import Gateway

__all__ = ["Gateway"]
