"""`contract`: what a model takes and gives, from the words that people write."""

from __future__ import annotations

from math import prod
from typing import Any, Final, get_args

from services.api.formats.checks import short, unstorable
from services.api.formats.hydrosphere.report import Report, below, kind
from shared.contract import (
    ALIASES,
    ANY,
    DTYPES,
    PROFILES,
    SIGNATURE,
    Contract,
    DType,
    Field,
    Profile,
    Shape,
)

SCALAR: Final = "scalar"
_DEPTH: Final = 8  # fields within fields
_FIELDS: Final = 1_000  # of a contract, those within others among them
_DIMENSIONS: Final = 32
_SIZE: Final = 1 << 31
_ELEMENTS: Final = 1 << 40
_NAME: Final = 200
_TYPES: Final[dict[str, DType]] = {**{name: name for name in DTYPES}, **ALIASES}
_PROFILES: Final[dict[str, Profile]] = {name: name for name in get_args(Profile)}


def read(document: object, report: Report) -> Contract | None:
    """None when it is wrong; the report says how."""
    if document is None:
        report.lacks("contract", "is missing; it says what the model's inputs and outputs are")
        return None
    found = report.mapping(document, "contract")
    if found is None:
        return None
    report.ignore(found, ("name", "inputs", "outputs"), "contract")
    reader = _Reader(report)
    return Contract(
        signature=_signature(found.get("name"), report),
        inputs=reader.fields(found.get("inputs"), "contract.inputs", 1),
        outputs=reader.fields(found.get("outputs"), "contract.outputs", 1),
    )


def _signature(name: object, report: Report) -> str:
    if name is None:
        return SIGNATURE
    text = report.text(name, "contract.name", most=_NAME)
    if name == "" or (text and not text.isprintable()):
        report.wrong("contract.name", f"{short(name)} is not the name of a signature")
    return text or SIGNATURE


class _Reader:
    """Counts the fields of one contract."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._count = 0

    def fields(self, document: object, path: str, depth: int) -> tuple[Field, ...]:
        found = self._report.mapping(document, path)
        if found is None:
            return ()
        if not found:
            self._report.lacks(path, "is empty; at least one field is needed")
        if depth > _DEPTH:
            self._report.wrong(path, f"is nested deeper than the {_DEPTH} levels allowed")
            return ()
        made = []
        for name, field in found.items():
            self._count += 1
            if self._count > _FIELDS:
                self._report.wrong("contract", f"has more than the {_FIELDS} fields allowed")
                break
            made.append(self._field(name, field, path, depth))
        return tuple(made)

    def _field(self, name: str, document: object, within: str, depth: int) -> Field:
        path = below(within, name)
        if not name or len(name) > _NAME or not name.isprintable() or unstorable(name):
            self._report.wrong(path, f"{short(name)} is not the name of a field")
        if not isinstance(document, dict):
            said = f"is {kind(document)}; it must be a mapping with shape and type"
            self._report.wrong(path, said)
            return Field(name=name)
        self._report.ignore(document, ("shape", "type", "profile", "fields"), path)
        nested = document.get("fields") is not None
        if nested and document.get("type") is not None:
            self._report.wrong(path, "has type and fields; give exactly one of them")
        return Field(
            name=name,
            dtype=None if nested else self._type(document, path),
            shape=self._shape(document.get("shape"), f"{path}.shape"),
            profile=self._profile(document.get("profile"), f"{path}.profile"),
            fields=self.fields(document["fields"], f"{path}.fields", depth + 1) if nested else (),
        )

    def _type(self, document: dict[str, Any], path: str) -> DType | None:
        written = document.get("type")
        if written is None:
            self._report.lacks(f"{path}.type", f"is missing; allowed: {', '.join(DTYPES)}")
            return None
        found = _TYPES.get(written) if isinstance(written, str) else None
        if found is None:
            said = f"{short(written)} is not a type; allowed: {', '.join((*DTYPES, *ALIASES))}"
            self._report.wrong(f"{path}.type", said)
        return found

    def _shape(self, written: object, path: str) -> Shape | None:
        if written is None:
            return None
        if written == SCALAR:
            return ()
        if not isinstance(written, list) or len(written) > _DIMENSIONS:
            said = f"must be {SCALAR} or a list of up to {_DIMENSIONS} sizes, such as [-1, 3]"
            self._report.wrong(path, said)
            return None
        sizes = [self._report.whole(size, path, ANY, _SIZE) for size in written]
        shape = tuple(size for size in sizes if size is not None)
        if ANY in shape[1:]:
            said = "-1 is meant for the first dimension; here, too, it is taken as any size"
            self._report.note(path, said)
        if prod(size for size in shape if size > 0) > _ELEMENTS:
            self._report.wrong(path, f"has more than the {_ELEMENTS} elements allowed")
        return shape

    def _profile(self, written: object, path: str) -> Profile:
        if written is None:
            return "none"
        found = _PROFILES.get(written.lower()) if isinstance(written, str) else None
        if found is None:
            said = f"{short(written)} is not a profile, so none is used"
            self._report.note(path, f"{said}; known: {', '.join(PROFILES)}")
        return found or "none"
