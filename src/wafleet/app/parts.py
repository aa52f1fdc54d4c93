"""What a running wafleet consists of."""

import asyncio
from dataclasses import dataclass

from fastapi import FastAPI

from wafleet.accounts import Accounts, Asks, Callees, Fleet, FleetFiles, LiveFleet, Signs, UnknownCodes
from wafleet.config import Settings
from wafleet.engine import bus
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db
from wafleet.engine.leases import Node
from wafleet.engine.secrets import Secrets
from wafleet.engine.wakes import Wakes
from wafleet.flows import Flows
from wafleet.inbox import Files, Hooks, Inbox
from wafleet.media import MediaStore
from wafleet.outbox import Lanes, Outbox
from wafleet.tenants import Auth, Tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What is durable, and knows no WhatsApp."""

    dsn: str
    db: Db
    clock: Clock
    secrets: Secrets
    wakes: Wakes
    node: Node

    def told(self) -> None:
        """Say that the event log grew."""
        self.wakes.wake_here(bus.TOPIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """The capabilities, each whole in its folder."""

    tenants: Tenants
    auth: Auth
    generated_password: str | None  # of the first administrator; shown this once
    accounts: Accounts
    asks: Asks
    fleet: Fleet
    fleet_files: FleetFiles
    live: LiveFleet
    signs: Signs
    callees: Callees
    unknown_codes: UnknownCodes
    hooks: Hooks
    lanes: Lanes
    outbox: Outbox
    inbox: Inbox
    flows: Flows
    media: MediaStore
    files: Files


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A running wafleet, for the program that serves it and for tests that look inside."""

    settings: Settings
    engine: Engine
    slices: Slices
    http: FastAPI
    stopping: asyncio.Event  # set it to end streams and duties; leaving sets it too
