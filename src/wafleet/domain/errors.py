"""Everything that can go wrong for a caller, as one tree.

WafleetError           code, HTTP status, and one sentence that says what to do next
  Invalid        422   a field is wrong: `field` names it, the sentence holds the remedy
  SignInNeeded   401   no credentials, or they no longer count
  Forbidden      403   known, but not permitted to do this
  NotFound       404   it does not exist, or belongs to another tenant
  Conflict       409   it clashes with what is there
  TooLarge       413   the body is over the limit
  TooMany        429   wait `retry_after_s`, then try again
  Unavailable    503   the database or the network is away: try again
  Late           504   WhatsApp was asked and did not answer in time
"""

from typing import ClassVar


class WafleetError(Exception):
    """One sentence for the person who asked, and a code for their program."""

    status: ClassVar[int] = 500
    code: str = "internal"

    def __init__(self, sentence: str, *, code: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        if code is not None:
            self.code = code


class Invalid(WafleetError):
    status = 422
    code = "invalid"

    def __init__(self, field: str, sentence: str, *, code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.field = field


class SignInNeeded(WafleetError):
    status = 401
    code = "sign_in_needed"


class Forbidden(WafleetError):
    status = 403
    code = "forbidden"


class NotFound(WafleetError):
    status = 404
    code = "not_found"


class Conflict(WafleetError):
    status = 409
    code = "conflict"


class TooLarge(WafleetError):
    status = 413
    code = "too_large"


class TooMany(WafleetError):
    status = 429
    code = "too_many"

    def __init__(self, sentence: str, *, retry_after_s: float, code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.retry_after_s = retry_after_s


class Unavailable(WafleetError):
    status = 503
    code = "unavailable"


class Late(WafleetError):
    status = 504
    code = "no_answer"
