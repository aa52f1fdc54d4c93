"""What happened, for everyone who listens: the event log's vocabulary."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """Each event's name; `MEANINGS` says when it is written and what its data holds."""

    ACCOUNT_CREATED = "account.created"
    ACCOUNT_CHANGED = "account.changed"
    ACCOUNT_DELETED = "account.deleted"
    ACCOUNT_STATE = "account.state"
    ACCOUNT_LINKED = "account.linked"
    ACCOUNT_UNLINKED = "account.unlinked"
    ACCOUNT_PHONE_UNSEEN = "account.phone_unseen"
    ACCOUNT_MOVED = "account.moved"
    ACCOUNT_QUALITY = "account.quality_changed"
    ACCOUNT_LIMIT = "account.limit_changed"
    ACCOUNT_STATUS = "account.status_changed"
    ACCOUNT_TEMPLATE = "account.template_changed"
    ACCOUNT_IDENTITY = "account.identity_changed"
    MESSAGE_RECEIVED = "message.received"
    MESSAGE_MEDIA_READY = "message.media_ready"
    MESSAGE_MEDIA_MISSING = "message.media_missing"
    MESSAGE_QUEUED = "message.queued"
    MESSAGE_SENT = "message.sent"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_READ = "message.read"
    MESSAGE_FAILED = "message.failed"
    MESSAGE_UNKNOWN = "message.unknown"
    MESSAGE_CANCELLED = "message.cancelled"
    FLEET_CLIENT_OUTDATED = "fleet.client_outdated"
    PROVIDER_UNKNOWN_CODE = "provider.unknown_code"
    NODE_STARTED = "node.started"
    NODE_STOPPED = "node.stopped"
    NODE_LOST = "node.lost"


MEANINGS: Final[Mapping[Kind, str]] = {
    Kind.ACCOUNT_CREATED: "An account was added. data: the fields it was given",
    Kind.ACCOUNT_CHANGED: "An account's settings changed. data: the fields that changed",
    Kind.ACCOUNT_DELETED: "An account was removed; its history stays. data: name, phone",
    Kind.ACCOUNT_STATE: "An account's state moved. data: from, to, reason, detail",
    Kind.ACCOUNT_LINKED: "A phone was linked. data: phone",
    Kind.ACCOUNT_UNLINKED: "A phone was unlinked; an encrypted copy of its credentials is kept. data: phone",
    Kind.ACCOUNT_PHONE_UNSEEN: "A linked device's phone was away for long. data: days, left",
    Kind.ACCOUNT_MOVED: "An account was moved to another transport; its history stays. data: from, to",
    Kind.ACCOUNT_QUALITY: "The provider rates a number otherwise. data: from, to, reason, detail",
    Kind.ACCOUNT_LIMIT: "The provider lets a number write to more people, or fewer. data: from, to, reason, detail",
    Kind.ACCOUNT_STATUS: "The provider says how a number stands. data: from, to, reason, detail",
    Kind.ACCOUNT_TEMPLATE: "The provider decided about a template. data: value, reason, detail",
    Kind.ACCOUNT_IDENTITY: "A customer is known by another identity. data: value, detail",
    Kind.MESSAGE_RECEIVED: "A customer wrote. data: message, conversation",
    Kind.MESSAGE_MEDIA_READY: "The file of a customer's message is here. data: message, conversation, media",
    Kind.MESSAGE_MEDIA_MISSING: "The file of a customer's message will not come. data: message, conversation, why",
    Kind.MESSAGE_QUEUED: "A message was queued. data: message, conversation",
    Kind.MESSAGE_SENT: "The network took a message. data: message, provider_id",
    Kind.MESSAGE_DELIVERED: "The customer's phone has it. data: message",
    Kind.MESSAGE_READ: "The customer read it. data: message",
    Kind.MESSAGE_FAILED: "It will not be sent. data: message, reason",
    Kind.MESSAGE_UNKNOWN: "Nobody can say whether it went out. data: message, reason",
    Kind.MESSAGE_CANCELLED: "It was cancelled while it waited. data: message",
    Kind.FLEET_CLIENT_OUTDATED: "WhatsApp refuses this version of the client, on every account. data: client",
    Kind.PROVIDER_UNKNOWN_CODE: "A provider gave an error that wafleet does not know; told once an hour. "
    "data: provider, code, detail",
    Kind.NODE_STARTED: "A node joined. data: node, version",
    Kind.NODE_STOPPED: "A node left in good order. data: node",
    Kind.NODE_LOST: "A node stopped renewing its leases. data: node",
}
