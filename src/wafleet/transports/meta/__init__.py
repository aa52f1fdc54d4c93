"""WhatsApp numbers on Meta's Cloud API: sent over HTTP, heard through webhooks; one app may hold many numbers."""

from wafleet.transports.meta.transport import Meta

__all__ = ["Meta"]
