"""`kind: Model`: a runtime, a contract, and what goes into the model's image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.api.formats import checks
from services.api.formats.checks import Wrongs, short
from services.api.formats.hydrosphere import contract
from services.api.formats.hydrosphere.report import Report, below, kind
from services.api.formats.hydrosphere.runtime import runtime
from shared.contract import Contract
from shared.endpoint import Endpoint, Training
from shared.endpoint import Model as Entry

PORT: Final = 9091
ENDPOINT: Final = "model"
KEYS: Final = frozenset(
    {
        "kind",
        "name",
        "version",
        "runtime",
        "contract",
        "payload",
        "install-command",
        "training-data",
        "metadata",
        "monitoring",
        "monitoring-configuration",
    }
)
MONITORING: Final = "is taken, and not run: what a model is asked is compared by profile"
_NAME: Final = re.compile(r"[a-z_0-9-]{1,100}")
_S3: Final = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]{1,254}/[^\x00-\x20\x7f]{1,1024}")
_PAYLOAD: Final = 1_000
_METADATA: Final = 200
_KEY: Final = 200
_SCHEME: Final = "s3://"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as a document says it; what was uploaded for it is known beside."""

    name: str
    endpoint: Endpoint
    uri: str  # of training data that lies elsewhere
    local: bool  # it names training data that its owner uploads
    payload: int  # files and folders that its owner uploads

    @property
    def entry(self) -> Entry:
        assert isinstance(self.endpoint.entry, Entry)
        return self.endpoint.entry

    def training(self, digest: str | None) -> Training | None:
        return Training(digest=digest or "", uri=self.uri) if digest or self.uri else None


def read(document: Mapping[str, Any], report: Report, runtimes: Mapping[str, str]) -> Model:
    """Worth something only if the report has nothing wrong."""
    report.ignore(document, KEYS)
    name = _name(document.get("name"), report)
    image = _image(document.get("runtime"), report)
    signature = contract.read(document.get("contract"), report)
    known = runtime(image, runtimes)
    install = report.text(document.get("install-command"), "install-command").strip()
    uri, local = _training(document.get("training-data"), report)
    if known.server == "platform":
        report.note("runtime", "the platform's own model server runs src/func_main.py")
        if signature is not None and not signature.signature.isidentifier():
            report.note("contract.name", "is not the name of a function in src/func_main.py")
    for key in ("monitoring", "monitoring-configuration"):
        if document.get(key):
            report.note(key, MONITORING)
    entry = Entry(
        contract=signature or Contract(inputs=(), outputs=()),
        runtime=image,
        server=known.server,
        calls=known.calls,
        metadata=_metadata(document.get("metadata"), report),
    )
    return Model(
        name=name,
        endpoint=Endpoint(
            name=ENDPOINT,
            format="hydrosphere",
            entry=entry,
            port=PORT,
            readiness="listening",
            image=known.base,
            install=(install,) if install else (),
        ),
        uri=uri,
        local=local,
        payload=_payload(document.get("payload"), report),
    )


def _name(written: object, report: Report) -> str:
    if not isinstance(written, str) or not _NAME.fullmatch(written):
        said = "is missing" if written is None else f"{short(written)} is not a model's name"
        report.wrong("name", f"{said}; allowed: up to 100 of a-z, 0-9, - and _")
        return ""
    return written


def _image(written: object, report: Report) -> str:
    if written is None or written == "":
        report.lacks("runtime", "is missing; name an image, such as python-runtime:1.0")
        return ""
    image, wrongs = report.text(written, "runtime"), Wrongs()
    if image:
        checks.image(image, "runtime", wrongs)
    for wrong in wrongs:
        report.wrong(wrong.field, wrong.message)
    last = image.rpartition("/")[2]
    if image and not wrongs and ":" not in last and "@" not in last:
        report.note("runtime", f"{short(image)} has no tag; what it is may change")
    return image


def _payload(written: object, report: Report) -> int:
    paths = report.items(written, "payload", _PAYLOAD)
    for index, path in enumerate(paths):
        if not report.text(path, f"payload[{index}]") and path in (None, ""):
            report.wrong(f"payload[{index}]", "is empty; it must be the path of a file or folder")
    return len(paths)


def _training(written: object, report: Report) -> tuple[str, bool]:
    """Where training data lies, or that its owner uploads it."""
    text = report.text(written, "training-data", most=2_000)
    if not text:
        return "", False
    if not text.lower().endswith(".csv"):
        report.note("training-data", f"{short(text)} is read as CSV; nothing else is supported")
    if not text.startswith(_SCHEME):
        return "", True
    if not is_s3(text):
        report.wrong("training-data", f"{short(text)} is not of the form s3://bucket/key.csv")
    return text, False


def is_s3(text: str) -> bool:
    return _S3.fullmatch(text) is not None


def _metadata(written: object, report: Report) -> dict[str, str]:
    found = report.mapping(written, "metadata") or {}
    if len(found) > _METADATA:
        report.wrong("metadata", f"has {len(found)} keys; allowed: {_METADATA}")
        return {}
    made = {}
    for key, value in found.items():
        path = below("metadata", key)
        if not key or len(key) > _KEY or checks.unstorable(key):
            report.wrong(path, f"{short(key)} is not a key; 1 to {_KEY} characters are allowed")
        if isinstance(value, bool):
            made[key] = "true" if value else "false"
        elif isinstance(value, int | float):
            made[key] = str(value)
        elif isinstance(value, str):
            made[key] = report.text(value, path)
        else:
            report.wrong(path, f"is {kind(value)}; allowed: text, a number, true or false")
    return made
