"""Every way to reach WhatsApp that the settings ask for, each once per node."""

from contextlib import AsyncExitStack

from wafleet.config import Settings
from wafleet.transports.base import KeepsMedia, Transport
from wafleet.transports.device.alive import patience_s
from wafleet.transports.device.driver import Device
from wafleet.transports.gateway import Gateway
from wafleet.transports.meta.transport import Meta
from wafleet.transports.simulated import Simulated
from wafleet.transports.twilio import Twilio


def build_transports(stack: AsyncExitStack, settings: Settings, *, keep_media: KeepsMedia) -> dict[str, Transport]:
    """Build them; leaving `stack` closes them."""
    found: dict[str, Transport] = {}
    public_url = settings.public_url or ""
    if settings.simulator.enabled:
        folder = settings.simulator.folder or settings.data_dir / "simulator"
        found["simulator"] = simulated = Simulated.at(folder, answer_s=settings.simulator.answer_s)
        stack.push_async_callback(simulated.close)
    if settings.devices.enabled:
        folder = settings.data_dir / "devices"
        patience = patience_s(lease_s=settings.node.lease_s, renew_s=settings.node.renew_s)
        device = Device(folder=folder, settings=settings.devices, keep_media=keep_media, patience_s=patience)
        found["device"] = device
        stack.push_async_callback(device.close)
    if settings.twilio.enabled:
        found["twilio"] = twilio = Twilio(public_url=public_url, answer_s=settings.twilio.answer_s)
        stack.push_async_callback(twilio.close)
    if settings.meta.enabled:
        found["meta"] = meta = Meta(url=settings.meta.url, answer_s=settings.meta.answer_s)
        stack.push_async_callback(meta.close)
    if settings.gateway.enabled:
        hook = f"{public_url}/hooks/gateway/{{account}}" if public_url else ""
        own = settings.gateway
        gateway = Gateway(own.url or "", hook=hook, store=own.store or "", answer_s=own.answer_s)
        found["gateway"] = gateway
        stack.push_async_callback(gateway.close)
    return found
