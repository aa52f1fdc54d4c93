"""What `send` can send besides words, and how it is written on the command line."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer

if TYPE_CHECKING:
    from wafleet.client import Client

_PANEL: Final = "Other than words"


def _file(help: str) -> Any:
    return typer.Option(help=help, exists=True, dir_okay=False, show_default=False, rich_help_panel=_PANEL)


def _other(help: str) -> Any:
    return typer.Option(help=help, show_default=False, rich_help_panel=_PANEL)


Words = Annotated[str | None, typer.Argument(help="What to say; - reads it from standard input.", show_default=False)]
ImageFile = Annotated[Path | None, _file("Send this picture; the words go below it.")]
VideoFile = Annotated[Path | None, _file("Send this film; the words go below it.")]
AudioFile = Annotated[Path | None, _file("Send this sound.")]
DocumentFile = Annotated[Path | None, _file("Send this file, whatever it is; the words go below it.")]
StickerFile = Annotated[Path | None, _file("Send this WebP picture as a sticker.")]
Place = Annotated[str | None, _other("Send a place, as LATITUDE,LONGITUDE; the words are its name.")]
ReplyTo = Annotated[UUID | None, _other("Answer this message.")]
Emoji = Annotated[str | None, _other("Put this emoji on the message named by --on; an empty one takes it away.")]
On = Annotated[UUID | None, _other("The message that --react is put on.")]
Correct = Annotated[UUID | None, _other("Put the words in place of those of this earlier message.")]
TakeBack = Annotated[UUID | None, _other("Take this earlier message back, for everyone.")]
Offer = Annotated[list[str] | None, _other("Offer this answer below the words; once for each, at most ten.")]
Approved = Annotated[str | None, _other("Send this approved template, by its name; `wafleet templates` lists them.")]
Language = Annotated[str, _other("The template's language, such as en_US.")]
Filled = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        show_default=False,
        rich_help_panel=_PANEL,
        help="Fill a blank of the template: NAME=VALUE; once for each.",
    ),
]
BUTTONS: Final = 3  # more answers are a list


@dataclass(frozen=True)
class Asked:
    """What the options asked for."""

    files: dict[str, Path | None]  # by kind of content
    place: str | None = None
    reply_to: UUID | None = None
    emoji: str | None = None
    on: UUID | None = None
    edit: UUID | None = None
    take_back: UUID | None = None
    offers: Sequence[str] = ()
    template: str | None = None
    language: str = ""
    filled: Sequence[str] = ()

    def content(self, client: Client, text: str | None, *, tenant: str | None) -> dict[str, Any]:
        """Return the content to send; a file is uploaded first. Raises BadParameter when it is none, or several."""
        carried = self._carried(client, text, tenant)
        given = (carried, self._place(text), self._question(text), self._approved(text), *self._acts(text))
        found = [one for one in given if one]
        if len(found) > 1:
            raise typer.BadParameter("one message carries one thing: send the others by themselves")
        if not found and text is None:
            raise typer.BadParameter("say what to send: words, or one of the options")
        content = found[0] if found else {"type": "text", "text": text}
        return content | ({"reply_to": str(self.reply_to)} if self.reply_to else {})

    def _carried(self, client: Client, text: str | None, tenant: str | None) -> dict[str, Any] | None:
        given = [(kind, path) for kind, path in self.files.items() if path is not None]
        if not given:
            return None
        if len(given) > 1:
            raise typer.BadParameter("one message carries one file: send the others by themselves")
        kind, path = given[0]
        if text and kind in {"audio", "sticker"}:
            raise typer.BadParameter(f"WhatsApp shows no words below {kind}: send them by themselves")
        mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        file = client.upload(path.read_bytes(), mime=mime, name=path.name, tenant=tenant)
        return {"type": kind, "media": file.id} | ({"caption": text} if text else {})

    def _place(self, text: str | None) -> dict[str, Any] | None:
        if self.place is None:
            return None
        try:
            latitude, longitude = (float(part) for part in self.place.split(","))
        except ValueError:
            raise typer.BadParameter(f"{self.place!r} is no place: write it like 25.2048,55.2708") from None
        return {"type": "location", "latitude": latitude, "longitude": longitude, "name": text or ""}

    def _question(self, text: str | None) -> dict[str, Any] | None:
        if not self.offers:
            return None
        options = [{"id": f"{n}", "title": title} for n, title in enumerate(self.offers, 1)]
        kind = {"type": "buttons"} if len(options) <= BUTTONS else {"type": "choices", "button": "Choose"}
        return kind | {"text": text or "", "options": options}

    def _approved(self, text: str | None) -> dict[str, Any] | None:
        if self.template is None:
            return None
        if text:
            raise typer.BadParameter("a template has words of its own: fill its blanks with --with NAME=VALUE")
        blanks = {name: value for name, _, value in (one.partition("=") for one in self.filled)}
        return {"type": "template", "name": self.template, "language": self.language, "variables": blanks}

    def _acts(self, text: str | None) -> list[dict[str, Any]]:
        if (self.emoji is None) != (self.on is None):
            raise typer.BadParameter("--react EMOJI and --on ID go together")
        if text and (self.on or self.take_back):
            raise typer.BadParameter("--react and --take-back have no words: send them by themselves")
        return [
            *([{"type": "reaction", "message": str(self.on), "emoji": self.emoji}] if self.on else []),
            *([{"type": "edit", "message": str(self.edit), "text": text or ""}] if self.edit else []),
            *([{"type": "deletion", "message": str(self.take_back)}] if self.take_back else []),
        ]
