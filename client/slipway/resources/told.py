"""The platform's errors about a set of definitions, in the words of who wrote them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from slipway.errors import SlipwayError, Wrong
from slipway.resources.document import Document

_AT: Final = re.compile(r"documents\[(\d{1,9})\](?:\.(?=.)|(?=\[)|\Z)")


def told(error: SlipwayError, documents: Sequence[Document]) -> SlipwayError:
    """The same error, naming documents by their file, with paths in them and lines."""
    if not error.errors:
        return error
    wrongs = tuple(_wrong(wrong, documents) for wrong in error.errors)
    detail = error.problem.detail
    for before, after in zip(error.errors, wrongs, strict=True):
        if detail == f"{before.field}: {before.message}":
            detail = f"{after.field}: {after.message}"
    problem = msgspec.structs.replace(error.problem, errors=wrongs, detail=detail)
    return SlipwayError(problem, error.hint)


def _wrong(wrong: Wrong, documents: Sequence[Document]) -> Wrong:
    found = _AT.match(wrong.field)
    if found is None or int(found[1]) >= len(documents):
        return wrong
    document = documents[int(found[1])]
    message = wrong.message.removeprefix(f"{document.source}: ")
    return document.wrong(wrong.field[found.end() :], message)
