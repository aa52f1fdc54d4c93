"""What questions and templates may hold, so that no network refuses them.

Source: Meta, WhatsApp Cloud API, interactive reply buttons, interactive lists, message templates. Twilio documents
the same limits for its content types.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from wafleet.domain.choosing import numbered
from wafleet.domain.errors import Invalid
from wafleet.domain.message import Buttons, Offering, Option, Template

MOST: Final[Mapping[str, int]] = {"buttons": 3, "choices": 10}
LONGEST_TEXT: Final[Mapping[str, int]] = {"buttons": 1024, "choices": 4096}
LONGEST_TITLE: Final[Mapping[str, int]] = {"buttons": 20, "choices": 24}
LONGEST_LABEL: Final = 20  # of what opens a list
LONGEST_ID: Final = 200
LONGEST_DESCRIPTION: Final = 72
LONGEST_EDGE: Final = 60  # of a header, of a footer
LONGEST_WRITTEN: Final = 4096  # with its numbers, where there are no buttons
LONGEST_NAME: Final = 512  # of a template
LONGEST_VALUE: Final = 1024
MOST_VALUES: Final = 100


def check(content: Offering | Template) -> None:
    """Raise Invalid, naming the field, for a question or a template that no network takes."""
    if isinstance(content, Template):
        _check_template(content)
    else:
        _check_question(content)


def _check_question(question: Offering) -> None:
    kind = str(question.__struct_config__.tag)
    _text("text", question.text, LONGEST_TEXT[kind])
    _text("header", question.header, LONGEST_EDGE, needed=False)
    _text("footer", question.footer, LONGEST_EDGE, needed=False)
    if not isinstance(question, Buttons):
        _text("button", question.button, LONGEST_LABEL)
    if not 0 < len(question.options) <= MOST[kind]:
        raise Invalid("content.options", f"content.options: offer 1 to {MOST[kind]} answers")
    for i, option in enumerate(question.options):
        _option(f"options[{i}]", option, kind)
    _alone([one.id for one in question.options], "id")
    _alone([one.title.casefold() for one in question.options], "title")
    if (length := len(numbered(question).text)) > LONGEST_WRITTEN:
        raise Invalid(
            "content.text",
            f"With its answers it has {length} characters, and {LONGEST_WRITTEN} go into one message: shorten it",
        )


def _check_template(template: Template) -> None:
    _text("name", template.name, LONGEST_NAME)
    if len(template.variables) > MOST_VALUES:
        raise Invalid("content.variables", f"content.variables: at most {MOST_VALUES}")
    for name, value in template.variables.items():
        _text(f"variables.{name}", value, LONGEST_VALUE)


def _option(field: str, option: Option, kind: str) -> None:
    _text(f"{field}.id", option.id, LONGEST_ID)
    _text(f"{field}.title", option.title, LONGEST_TITLE[kind])
    _text(f"{field}.description", option.description, LONGEST_DESCRIPTION, needed=False)
    if option.description and kind == "buttons":
        raise Invalid(f"content.{field}.description", "Buttons have no description: use choices, which are a list")


def _text(field: str, text: str, longest: int, *, needed: bool = True) -> None:
    where = f"content.{field}"
    if needed and not text.strip():
        raise Invalid(where, f"{where} is empty: write something")
    if len(text) > longest:
        raise Invalid(where, f"{where} has {len(text)} characters; WhatsApp takes at most {longest}")


def _alone(names: Sequence[str], what: str) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise Invalid(f"content.options[{i}].{what}", f"Two options have the same {what}: make them differ")
