"""Forms in dialogs: read without keeping more than their fields, and refused without losing what was typed."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from wafleet.console.forms import Problem
from wafleet.console.pages import Pages

MOST_FIELDS = 50


async def typed(request: Request) -> dict[str, str]:
    """Return the text fields of a form."""
    async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def refused(pages: Pages, problems: Sequence[Problem]) -> Response:
    """Say what is wrong, beside the form that is still there: secrets are typed once, and never sent back."""
    page = pages.page("_problems.html", status=422, problems=problems)
    page.headers.update({"HX-Retarget": "#problems", "HX-Reswap": "innerHTML"})
    return page
