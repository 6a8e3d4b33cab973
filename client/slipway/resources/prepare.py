"""What can be told of resource definitions before the platform sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from slipway.errors import BadDocument, Wrong
from slipway.resources.document import Document
from slipway.resources.payload import Bad, gather, located
from slipway.source import Member

MODEL: Final = "Model"
APPLICATION: Final = "Application"
CONFIGURATION: Final = "DeploymentConfiguration"
KINDS: Final = (MODEL, APPLICATION, CONFIGURATION)

_S3: Final = "s3://"


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A document with the files that go with it."""

    document: Document
    payload: Sequence[Member] = ()
    training: Path | None = None

    @property
    def name(self) -> str:
        return str(self.document.body["name"])


def prepare(documents: Sequence[Document]) -> list[Prepared]:
    """Each with its files. Raises BadDocument with all that is wrong with any of them."""
    wrongs: list[Wrong] = []
    made = [_prepared(document, wrongs) for document in documents]
    if wrongs:
        raise BadDocument("", errors=tuple(wrongs))
    return [found for found in made if found is not None]


def _prepared(document: Document, wrongs: list[Wrong]) -> Prepared | None:
    body = document.body
    if not isinstance(body, dict):
        wrongs.append(document.wrong("", "must be a mapping with kind and name"))
        return None
    if body.get("kind") not in KINDS:
        said = "is missing" if body.get("kind") is None else f"is {_shown(body['kind'])}"
        wrongs.append(document.wrong("kind", f"{said}; allowed: {', '.join(KINDS)}"))
    if not isinstance(body.get("name"), str) or not body["name"]:
        said = "is missing" if body.get("name") is None else "must be text"
        wrongs.append(document.wrong("name", said))
    if body.get("kind") != MODEL:
        return Prepared(document=document)
    payload, bad = _payload(document, body.get("payload"))
    training, worse = _training(document, body.get("training-data"))
    wrongs += [*bad, *worse]
    return Prepared(document=document, payload=payload, training=training)


def _payload(document: Document, entries: Any) -> tuple[list[Member], list[Wrong]]:
    if entries is None:
        return [], []
    if not isinstance(entries, list):
        return [], [document.wrong("payload", "must be a list of files and folders")]
    wrongs = [
        document.wrong(f"payload[{at}]", "must be text: a file or a folder")
        for at, entry in enumerate(entries)
        if not isinstance(entry, str)
    ]
    return ([], wrongs) if wrongs else gather(document, entries)


def _training(document: Document, written: Any) -> tuple[Path | None, list[Wrong]]:
    """The local file, if it is one."""
    if written is None:
        return None, []
    try:
        if not isinstance(written, str):
            raise Bad("must be text: a .csv file, or an s3:// URI of one")
        if written.startswith(_S3):
            return None, []
        path = Path(located(document.folder, written))
        if "://" in written:
            raise Bad(f"{written} is neither a file nor an s3:// URI")
        if not path.is_file():
            raise Bad(f"{'no file' if path.exists() else 'nothing'} is at {written}")
    except Bad as error:
        return None, [document.wrong("training-data", str(error))]
    return path, []


def _shown(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
