"""Accounts, linking, and the fleet as a whole. `account` is an id, a phone in any spelling, a name, or a role."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from wafleet.client.answers import Page
from wafleet.client.fleet_answers import (
    Account,
    AccountStatistics,
    Applied,
    ApprovedTemplate,
    FleetView,
    LookedUp,
    Moved,
    Pairing,
    Totals,
    Webhook,
)
from wafleet.client.wire import Wire


class Fleet(Wire):
    """Which numbers there are, what is wanted of them, and how they are."""

    def accounts(
        self,
        *,
        state: Sequence[str] | None = None,
        transport: str | None = None,
        role: str | None = None,
        q: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Account]:
        """List accounts by name; `q` is looked for in names, phones and roles."""
        return self._ask(
            Page[Account],
            "GET /accounts",
            state=list(state) if state else None,
            transport=transport,
            role=role,
            q=q,
            cursor=cursor,
            limit=limit,
        )

    def create_account(
        self, name: str, phone: str, transport: str, *, tenant: str | None = None, **fields: Any
    ) -> Account:
        """Add an account; `fields` are role, priority, metadata, settings, enabled, credentials. It is linked next."""
        body = {"name": name, "phone": phone, "transport": transport, **fields}
        return self._ask(Account, "POST /accounts", body=body | ({"tenant": tenant} if tenant else {}))

    def account(self, account: UUID | str) -> Account:
        """Return one account; ApiError 409 when the name or role means several."""
        return self._ask(Account, "GET /accounts/{account}", account=account)

    def change_account(self, account: UUID | str, changes: Mapping[str, Any]) -> Account:
        """Change the fields named in `changes`; what is left out stays."""
        return self._ask(Account, "PATCH /accounts/{account}", account=account, body=changes)

    def register_account(self, form: Mapping[str, Any], *, tenant: str | None = None) -> Account:
        """Add a sender at Twilio by the form of older systems: name, whatsappNumber, accountSid, authToken, ..."""
        return self._ask(Account, "POST /accounts/register", body={**form, **({"tenant": tenant} if tenant else {})})

    def move_account(
        self,
        account: UUID | str,
        transport: str,
        *,
        settings: Mapping[str, Any] | None = None,
        credentials: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> Moved:
        """Move an account to another transport, or say what that would mean; its history stays."""
        body = {"transport": transport, "settings": settings or {}, "credentials": credentials, "dry_run": dry_run}
        return self._ask(Moved, "POST /accounts/{account}/move", account=account, body=body)

    def webhook(self, account: UUID | str) -> Webhook:
        """Return where the account's network is to call, and whether it does."""
        return self._ask(Webhook, "GET /accounts/{account}/webhook", account=account)

    def delete_account(self, account: UUID | str) -> None:
        """Take an account out of the fleet; its history stays."""
        self._tell("DELETE /accounts/{account}", account=account)

    def enable_account(self, account: UUID | str) -> Account:
        """Let an account run; again changes nothing."""
        return self._ask(Account, "POST /accounts/{account}/enable", account=account)

    def disable_account(self, account: UUID | str) -> Account:
        """Stop an account; it stays linked and its messages wait."""
        return self._ask(Account, "POST /accounts/{account}/disable", account=account)

    def unlink_account(self, account: UUID | str) -> Account:
        """Remove this device from the phone; an encrypted copy of its credentials is kept."""
        return self._ask(Account, "POST /accounts/{account}/unlink", account=account)

    def reconnect_account(self, account: UUID | str) -> Account:
        """Connect an account anew, now; follow its state."""
        return self._ask(Account, "POST /accounts/{account}/reconnect", account=account)

    def account_statistics(
        self, account: UUID | str, *, since: datetime | None = None, until: datetime | None = None
    ) -> AccountStatistics:
        """Return what one account did in a period; the last 24 hours when none is given."""
        operation = "GET /accounts/{account}/statistics"
        return self._ask(AccountStatistics, operation, account=account, since=since, until=until)

    def start_linking(self, account: UUID | str, *, again: bool = False) -> Pairing:
        """Begin linking a phone; the QR code appears in `pairing` within a second or so."""
        return self._ask(Pairing, "POST /accounts/{account}/link", account=account, body={"again": again})

    def pairing(self, account: UUID | str) -> Pairing:
        """Return what a person must do now to link this account's phone."""
        return self._ask(Pairing, "GET /accounts/{account}/link", account=account)

    def cancel_linking(self, account: UUID | str) -> Account:
        """Stop linking."""
        return self._ask(Account, "DELETE /accounts/{account}/link", account=account)

    def lookup(self, account: UUID | str, phones: Sequence[str]) -> list[LookedUp]:
        """Tell which numbers are on WhatsApp, in the order asked."""
        body = {"phones": list(phones)}
        return self._ask(list[LookedUp], "POST /accounts/{account}/lookups", account=account, body=body)

    def show_typing(self, account: UUID | str, to: str, *, on: bool = True) -> None:
        """Show a customer that somebody is writing, or no longer."""
        self._tell("POST /accounts/{account}/typing", account=account, body={"to": to, "on": on})

    def templates(self, account: UUID | str) -> list[ApprovedTemplate]:
        """List the templates the network approved for this account; ApiError 422 where it has no such list."""
        return self._ask(list[ApprovedTemplate], "GET /accounts/{account}/templates", account=account)

    def qr_svg(self, account: UUID | str) -> bytes:
        """Return the QR code to scan now as SVG; ApiError 404 while there is none."""
        return self._fetch("GET /accounts/{account}/link/qr.svg", account=account)

    def qr_png(self, account: UUID | str) -> bytes:
        """Return the QR code to scan now as PNG; ApiError 404 while there is none."""
        return self._fetch("GET /accounts/{account}/link/qr.png", account=account)

    def fleet(self) -> Totals:
        """Return how many accounts are in each state, what waits, and what was sent and received today (UTC)."""
        return self._ask(Totals, "GET /fleet")

    def fleet_view(
        self,
        *,
        state: Sequence[str] | None = None,
        transport: str | None = None,
        role: str | None = None,
        q: str | None = None,
    ) -> FleetView:
        """Return every account at a glance, with its traffic of the last two hours in steps of five minutes."""
        states = list(state) if state else None
        return self._ask(FleetView, "GET /fleet/view", state=states, transport=transport, role=role, q=q)

    def apply_fleet(self, file: Mapping[str, Any], *, dry_run: bool = False, prune: bool = False) -> Applied:
        """Bring tenants and accounts to what a fleet file says, all of it or nothing; again changes nothing.

        file     the file's content, its references to the environment resolved
        prune    take accounts out of the fleet that the file's tenants have and the file does not name
        """
        return self._ask(Applied, "POST /fleet/apply", body={"file": file, "dry_run": dry_run, "prune": prune})
