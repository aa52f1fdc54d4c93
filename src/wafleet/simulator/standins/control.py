"""What a person may ask of a stand-in itself, beside the provider's own API: counts, and customers who send files."""

import os
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wafleet.simulator import orders
from wafleet.simulator.standins.files import Files, kind_of
from wafleet.simulator.standins.hooks import Webhooks
from wafleet.simulator.standins.numbers import Numbers
from wafleet.simulator.standins.rules import Tally
from wafleet.simulator.wire import Refusal

_LIMIT_S = 10.0


def control(numbers: Numbers, hooks: Webhooks, files: Files, tally: Tally) -> Sequence[Route]:
    """Return the routes below /_standin: they need no credentials, and listen on loopback only."""

    async def counts(_: Request) -> Response:
        calls = hooks.counts
        told = {
            "accepted": calls.accepted,
            "given_up": calls.refused,
            "dropped": calls.dropped,
            "tries": calls.tries,
            "waiting": hooks.waiting,
            "answers": {str(status): count for status, count in calls.answers.items()},
        }
        troubles = {phone: trouble.reason for phone in numbers.phones if (trouble := numbers.trouble(phone))}
        seen = {"sends": tally.shown(), "webhooks": told, "numbers": numbers.phones, "away": troubles}
        return JSONResponse(seen | {"pid": os.getpid()})

    async def say(request: Request) -> Response:
        """Have a customer send a file: the body of the request."""
        wanted, content = request.query_params, await request.body()
        mime = request.headers.get("Content-Type", "application/octet-stream").partition(";")[0]
        media = {"id": files.put(content), "mime": mime, "size": len(content), "name": wanted.get("file", "")}
        body = {"type": kind_of(mime), "media": media}
        if wanted.get("text") and body["type"] in {"image", "video", "document"}:
            body["caption"] = wanted["text"]
        order = orders.Say(wanted["customer"], wanted["account"], "", wanted.get("name", ""), body)
        try:
            id = await (await numbers.wire()).command(order, _LIMIT_S)
        except Refusal as e:
            return JSONResponse({"error": e.detail}, 409)
        return JSONResponse({"id": id})

    return [Route("/_standin", counts), Route("/_standin/say", say, methods=["POST"])]
