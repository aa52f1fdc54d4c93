"""The simulated network's controls, for whoever runs the whole installation."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from wafleet.domain import phone
from wafleet.domain.errors import Conflict, Unavailable
from wafleet.engine.web import Body
from wafleet.simulator.control import Control, NotDone
from wafleet.simulator.faults import EVERYONE
from wafleet.tenants import Auth, Caller, Scope

Phone = Annotated[str, Field(max_length=64, examples=["+971501110001"])]


class SayBody(Body):
    """A customer writes."""

    customer: Phone
    account: Phone
    text: str = Field(min_length=1, max_length=4096)
    name: str = Field("", max_length=100, description="what the customer calls themselves")


class ScanBody(Body):
    """What a linked device shows. An account of the simulator's own needs neither."""

    qr: str = Field(default="", max_length=1000, description="the text inside the QR code")
    code: str = Field(default="", max_length=20, description="the pairing code")


class FaultBody(Body):
    """Something goes wrong in the network."""

    account: str = Field(max_length=64, description="a phone, or * for all", examples=["+971501110001", "*"])
    kind: str = Field(max_length=40, examples=["deaf"])
    lasts_s: float | None = Field(None, ge=0, le=86_400, description="left out: as long as this kind usually does")
    seconds: float | None = Field(None, ge=0, le=86_400, description="how much later, where the kind has that")
    share: float = Field(1.0, ge=0, le=1, description="the chance that it hits one message")
    detail: str = Field("", max_length=100, description="a code, where the kind has one")


class LoadBody(Body):
    """Customers write at a steady rate."""

    per_second: float = Field(gt=0, le=10_000)
    total: int | None = Field(None, ge=1, le=1_000_000, description="this many messages, then it ends")
    lasts_s: float | None = Field(None, gt=0, le=86_400, description="for this long, where `total` is left out")


class NetworkStatus(BaseModel):
    """The simulated network: its accounts, faults and loads."""

    accounts: list[dict[str, Any]]
    linked: int
    online: int
    customers: int
    loads: int
    crossed: int = Field(description="messages that crossed the network in both directions")
    faults: list[dict[str, Any]]


class NetworkLedger(BaseModel):
    """What crossed the network per account, counted outside wafleet."""

    accounts: list[dict[str, Any]]


class Done(BaseModel):
    """It was done; `id` names what it made."""

    id: str = ""


_NOTHING = ScanBody()


def router(folder: Path, auth: Auth) -> APIRouter:
    """Return the routes; `folder` is the simulator's."""
    routes = APIRouter(prefix="/simulator", tags=["simulator"])
    _reading(routes, folder, auth)
    _interfering(routes, folder, auth)
    return routes


def _reading(routes: APIRouter, folder: Path, auth: Auth) -> None:
    admin = _platform(auth)

    @routes.get("")
    async def status(caller: Annotated[Caller, Depends(admin)]) -> NetworkStatus:
        """Show the network's accounts, faults and loads."""
        async with _control(folder) as control:
            return NetworkStatus.model_validate(msgspec.to_builtins(await control.status()))

    @routes.get("/ledger")
    async def ledger(
        caller: Annotated[Caller, Depends(admin)], account: Annotated[str | None, Query(max_length=64)] = None
    ) -> NetworkLedger:
        """Count what crossed the network, per account."""
        async with _control(folder) as control:
            lines = await control.ledger(None if account is None else phone.normalise(account, field="account"))
            return NetworkLedger(accounts=msgspec.to_builtins(lines))


def _interfering(routes: APIRouter, folder: Path, auth: Auth) -> None:
    admin = _platform(auth)

    @routes.post("/scan/{account}")
    async def scan(account: str, caller: Annotated[Caller, Depends(admin)], body: ScanBody = _NOTHING) -> Done:
        """Scan the QR code of an account that is being linked, as its phone would."""
        async with _control(folder) as control:
            await control.scan(phone.normalise(account, field="account"), qr=body.qr, code=body.code)
        return Done()

    @routes.post("/say")
    async def say(body: SayBody, caller: Annotated[Caller, Depends(admin)]) -> Done:
        """Have a customer write to an account."""
        async with _control(folder) as control:
            who, whom = phone.normalise(body.customer, field="customer"), phone.normalise(body.account, field="account")
            return Done(id=await control.say(who, whom, body.text, name=body.name))

    @routes.post("/faults")
    async def start_fault(body: FaultBody, caller: Annotated[Caller, Depends(admin)]) -> Done:
        """Let something go wrong; the kinds are those of `wafleet sim fault --help`."""
        async with _control(folder) as control:
            await control.start_fault(
                _whose(body.account),
                body.kind,
                lasts=body.lasts_s,
                seconds=body.seconds,
                share=body.share,
                detail=body.detail,
            )
        return Done()

    @routes.delete("/faults/{account}/{fault}")
    async def end_fault(account: str, fault: str, caller: Annotated[Caller, Depends(admin)]) -> Done:
        """End a fault before its time."""
        async with _control(folder) as control:
            await control.end_fault(_whose(account), fault)
        return Done()

    @routes.post("/load")
    async def load(body: LoadBody, caller: Annotated[Caller, Depends(admin)]) -> Done:
        """Have customers write to every linked account at a steady rate."""
        async with _control(folder) as control:
            line = await control.start_load(body.per_second, total=body.total, lasts=body.lasts_s)
        return Done(id=str(line.id))


def _platform(auth: Auth) -> Any:
    """Only those who reach the whole fleet: the network is everybody's."""
    known = auth.may(Scope.ADMIN)

    async def permitted(caller: Annotated[Caller, Depends(known)]) -> Caller:
        caller.require_platform()
        return caller

    return permitted


def _whose(account: str) -> str:
    return account if account == EVERYONE else phone.normalise(account, field="account")


@asynccontextmanager
async def _control(folder: Path) -> AsyncGenerator[Control]:
    try:
        control = await Control.at(folder)
    except ConnectionError as error:
        raise Unavailable(str(error), code="simulator_away") from error
    try:
        yield control
    except NotDone as error:
        raise Conflict(str(error), code="simulator_refused") from error
    except ConnectionError as error:
        raise Unavailable(str(error), code="simulator_away") from error
    finally:
        await control.close()
