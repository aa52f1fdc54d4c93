"""QR codes as pictures: SVG for pages, PNG for programs."""

from io import BytesIO
from itertools import groupby
from typing import Final

import segno

QUIET_ZONE: Final = 4  # modules; ISO/IEC 18004, section 9.1
PNG_SCALE: Final = 8  # pixels per module


def svg(text: str) -> str:
    """Draw a QR code as SVG that has no size and no style of its own.

    The code takes the colour of the text around it and has no background: show it dark on a light surface, which is
    what phones read best. Free of inline styles, so that a strict content security policy lets it through.
    """
    rows = _modules(text)
    path = "".join(_row_path(y, row) for y, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(rows)} {len(rows)}" role="img" '
        f'aria-label="QR code" shape-rendering="crispEdges"><path fill="currentColor" d="{path}"/></svg>'
    )


def svg_on_paper(text: str) -> str:
    """Draw a QR code as SVG with a white background: for use as an image file on any surface."""
    paper = '<path fill="#fff" d="M0 0h{0}v{0}H0z"/><path fill="#000"'.format(len(_modules(text)))
    return svg(text).replace('<path fill="currentColor"', paper)


def png(text: str) -> bytes:
    """Draw a QR code as PNG, black on white."""
    out = BytesIO()
    _code(text).save(out, kind="png", scale=PNG_SCALE, border=QUIET_ZONE)
    return out.getvalue()


def _code(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="l", boost_error=False)


def _modules(text: str) -> list[list[bool]]:
    return [[bool(module) for module in row] for row in _code(text).matrix_iter(border=QUIET_ZONE)]


def _row_path(y: int, row: list[bool]) -> str:
    parts: list[str] = []
    x = 0
    for dark, run in groupby(row):
        width = len(list(run))
        if dark:
            parts.append(f"M{x} {y}h{width}v1h-{width}z")
        x += width
    return "".join(parts)
