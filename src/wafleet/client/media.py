"""Files that messages carry."""

from wafleet.client.answers import File, FileLink
from wafleet.client.wire import Wire


class MediaFiles(Wire):
    """What is uploaded to be sent, and what customers sent."""

    def upload(
        self,
        content: bytes,
        *,
        mime: str = "application/octet-stream",
        name: str | None = None,
        tenant: str | None = None,
    ) -> File:
        """Store a file, to be named by its id in a message's content; the same content again is the same file.

        tenant  whose it is, for tokens that reach the whole fleet
        """
        return self._give(File, "POST /media", content=content, mime=mime, name=name, tenant=tenant)

    def media(self, file: str) -> bytes:
        """Return a file's content, by the id that its upload or a message's content names."""
        return self._fetch("GET /media/{file}", file=file)

    def link_media(self, file: str) -> FileLink:
        """Make an address at which a browser may fetch this file for a while, without signing in."""
        return self._ask(FileLink, "POST /media/{file}/link", file=file)
