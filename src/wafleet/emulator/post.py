"""Stanzas that must not get lost: kept for a device until it has confirmed them, whatever happens to its connection."""

from wafleet.emulator.model import Account, Device
from wafleet.emulator.wire import Node


def bring(device: Device, node: Node) -> None:
    """Send a stanza to a linked device and keep it until it is confirmed; with the next login it comes again."""
    if device.removed:
        return
    device.queue.add(node)
    if device.connection is not None:
        device.connection.send(node)


def bring_all(account: Account, node: Node, *, but: Device | None = None) -> None:
    """Send a stanza to every linked device of an account."""
    for device in account.linked:
        if device is not but:
            bring(device, node)
