"""Stanzas that must not get lost: kept for a device until it has confirmed them, whatever happens to its connection."""

from collections.abc import Collection
from typing import Final

from wafleet.emulator.model import Account, Device
from wafleet.emulator.wire import Node

_RECEIPTS: Final = 2_000  # kept for a device that is away; messages are never dropped


def bring(device: Device, node: Node) -> None:
    """Send a stanza to a linked device and keep it until it is confirmed; with the next login it comes again."""
    if device.removed:
        return
    device.queue.append(node)
    if node.tag != "message" and len(device.queue) > _RECEIPTS:
        oldest = next(kept for kept in device.queue if kept.tag != "message")
        device.queue.remove(oldest)
    if device.connection is not None:
        device.connection.send(node)


def bring_all(account: Account, node: Node, *, but: Device | None = None) -> None:
    """Send a stanza to every linked device of an account."""
    for device in account.linked:
        if device is not but:
            bring(device, node)


def done(device: Device, tag: str, ids: Collection[str]) -> bool:
    """Stop keeping stanzas that a device has confirmed; False when it had none of them."""
    kept = [node for node in device.queue if node.tag != tag or node.text("id") not in ids]
    found = len(kept) < len(device.queue)
    device.queue[:] = kept
    return found


def waits(device: Device, id: str) -> bool:
    """Say whether a message is kept for a device."""
    return any(node.tag == "message" and node.text("id") == id for node in device.queue)
