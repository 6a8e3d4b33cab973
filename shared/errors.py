"""The ways our own work can fail. Which one it is decides what the caller does about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from shared.problems import Wrong


class PlatformError(Exception):
    """The root of our own errors. Everything else that is raised is a bug."""


class Transient(PlatformError):
    """It may work later: a ticking loop shrugs, the bus delivers again, HTTP answers 503."""


class Permanent(PlatformError):
    """It will never work: the bus parks the message for a person."""


class Invalid(PlatformError):
    """What a person sent is wrong: HTTP answers 422 and names the field.

    `field` is a dotted path into what was sent (`endpoint.port`, `routes[1].file`), or "".
    The message says what was wrong and what is allowed, and never echoes more than a few
    characters of what was sent. `errors` holds all that is wrong, the first of them first.
    """

    def __init__(self, field: str, message: str, *others: Wrong) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message
        self.errors = (Wrong(field=field, message=message), *others)

    @classmethod
    def of(cls, wrongs: Sequence[Wrong]) -> Invalid:
        """One error that names every one of `wrongs`, of which there is at least one."""
        first, *others = wrongs
        return cls(first.field, first.message, *others)


@contextmanager
def translate(kinds: Mapping[type[Exception], type[Transient | Permanent]]) -> Iterator[None]:
    """Turn a library's errors into ours at the edge, keeping the cause."""
    try:
        yield
    except tuple(kinds) as error:
        ours = next(to for kind, to in kinds.items() if isinstance(error, kind))
        raise ours(str(error)) from error
