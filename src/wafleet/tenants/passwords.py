"""Passwords: argon2id, in threads so that nobody else waits for it, equally slow for users who do not exist."""

import asyncio
import secrets
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from wafleet.domain.errors import Invalid

SHORTEST: Final = 8
LONGEST: Final = 256
AT_ONCE: Final = 2  # each takes 64 MiB and a core for some 50 ms

WORN_OUT: Final = frozenset(
    {
        # what guessers try first, of those long enough
        "password",
        "passw0rd",
        "password1",
        "password123",
        "12345678",
        "123456789",
        "1234567890",
        "qwertyui",
        "qwerty123",
        "qwertyuiop",
        "iloveyou",
        "11111111",
        "00000000",
        "87654321",
        "abcd1234",
        "abcdefgh",
        "admin123",
        "administrator",
        "welcome1",
        "letmein1",
        "changeme",
        "whatsapp",
    }
)


def check_password(password: str, *, email: str = "", field: str = "password") -> None:
    """Raise Invalid, with what to do, unless a password is good enough to be chosen."""
    if len(password) < SHORTEST:
        raise Invalid(field, f"Use at least {SHORTEST} characters: three or four words are easy to remember")
    if len(password) > LONGEST:
        raise Invalid(field, f"Use at most {LONGEST} characters")
    plain = password.casefold()
    if plain in WORN_OUT or len(set(plain)) < 3 or plain == email.casefold():
        raise Invalid(field, "Everybody tries this one first: choose another, for example three or four words")


def generated_password() -> str:
    """Make a password that can be read out: 95 bits, no letters that look alike."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(4))


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Compare; None, a user who does not exist, takes as long and is never right."""
        async with self._slots:
            if self._nobody is None:
                self._nobody = await asyncio.to_thread(self._hasher.hash, secrets.token_hex())
            right = await asyncio.to_thread(self._verify, stored or self._nobody, password)
        return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Tell whether a hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
