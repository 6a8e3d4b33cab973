"""The platform's errors about a set of definitions, in the words of who wrote them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from slipway.errors import SlipwayError, Wrong
from slipway.resources.document import Document

LABEL: Final = 60  # characters
_AT: Final = re.compile(r"documents\[(\d{1,9})\](?:\.(?=.)|(?=\[)|\Z)")


def label(document: Document) -> str:
    """Where it is written, short enough for the platform to say it in messages whole."""
    source = "".join(letter if letter.isprintable() else "?" for letter in document.source)
    return source if len(source) <= LABEL else f"…{source[1 - LABEL :]}"


def told(error: SlipwayError, documents: Sequence[Document]) -> SlipwayError:
    """The same error, naming documents by their file, with paths in them and lines."""
    if not error.errors:
        return error
    wrongs = tuple(_wrong(wrong, documents) for wrong in error.errors)
    alone = f"{wrongs[0].field}: {wrongs[0].message}" if len(wrongs) == 1 else ""
    problem = msgspec.structs.replace(error.problem, errors=wrongs, detail=alone)
    return SlipwayError(problem, error.hint)


def _wrong(wrong: Wrong, documents: Sequence[Document]) -> Wrong:
    found = _AT.match(wrong.field)
    if found is None or int(found[1]) >= len(documents):
        return wrong
    document = documents[int(found[1])]
    message = wrong.message.removeprefix(f"{label(document)}: ")
    return document.wrong(wrong.field[found.end() :], message)
