"""Questions that offer answers, where there are no buttons to touch: written with numbers, and read back."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from wafleet.domain.message import Offering, Option, Text

_ARABIC: Final = re.compile("[\u0600-\u06ff\u0750-\u077f]")
_HINTS: Final = ("Answer with a number.", "أجب برقم.")
_SPELLINGS: Final = str.maketrans("آأإٱىةؤئکی", "اااايهويكي")  # as search folds them
_AROUND: Final = " \t\r\n.,:;!?()[]{}*_~#-–—\"'«»،؛؟"
_NUMBER: Final = re.compile(r"\d{1,2}")


def numbered(question: Offering) -> Text:
    """Write a question as words: its answers in numbered lines."""
    lines = [
        f"{n}. {option.title}" + (f": {option.description}" if option.description else "")
        for n, option in enumerate(question.options, 1)
    ]
    hint = _HINTS[bool(_ARABIC.search(question.text))]
    head = f"*{question.header}*" if question.header else ""
    foot = f"_{question.footer}_" if question.footer else ""
    return Text("\n\n".join(filter(None, (head, question.text, "\n".join(lines), foot, hint))), question.reply_to)


def chosen(options: Iterable[Option], said: str, *, numbers: bool = True) -> Option | None:
    """Return the option that these words name by its title, its number in any digits, or its id; None: no option.

    A title goes before a number: of "4 people" and "2 people" the first is meant by "4 people" alone, but of the
    titles "4" and "2" it is meant by "4".

    numbers  whether a bare number may be an answer that is no title: it may mean something else by now
    """
    known, plain = list(options), _plain(said)
    for option in known:
        if plain and plain == _plain(option.title):
            return option
    if _NUMBER.fullmatch(plain):
        if not numbers:
            return None
        if 0 < int(plain) <= len(known):
            return known[int(plain) - 1]
    return next((option for option in known if plain and plain == _plain(option.id)), None)


def _plain(said: str) -> str:
    """Drop what people write differently: marks, case, spelling of letters, what stands around."""
    letters = (
        one for one in unicodedata.normalize("NFKC", said) if unicodedata.category(one) not in {"Mn", "Me", "Cf"}
    )
    return " ".join("".join(letters).casefold().translate(_SPELLINGS).split()).strip(_AROUND)
