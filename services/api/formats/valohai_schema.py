"""The `valohai-yaml` package's schema, applied: its complaints in our words, all at once.

The package reports what a JSON schema finds. People need the field's path as they wrote it, what
was wrong with it and what is allowed instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import islice
from typing import Any, Final, Protocol

from valohai_yaml.schema_data import SCHEMATA
from valohai_yaml.validation import get_validator

from services.api.formats import checks
from services.api.formats.checks import Wrongs, short
from shared.errors import Invalid

KINDS: Final = ("blueprint", "deployment", "endpoint", "pipeline", "step", "task")
_ID: Final = "https://valohai.com/schemas/"
_ITEMS: Final = 2_000
_WORDS: Final = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


class Complaint(Protocol):
    """What the schema's validator finds (jsonschema's ValidationError)."""

    validator: str
    validator_value: Any
    instance: Any
    schema: Mapping[str, Any]
    absolute_path: Iterable[str | int]


class Validator(Protocol):
    def iter_errors(self, instance: object) -> Iterable[Complaint]: ...


def check(data: object, field: str) -> None:
    """Raise Invalid with all that is wrong in a whole `valohai.yaml`; `field` names the text."""
    if data is None:
        raise Invalid(field, "is empty; it must be a list of items such as `- endpoint:`")
    if not isinstance(data, list):
        raise Invalid(field, f"is {_kind(data)}; it must be a list of items such as `- endpoint:`")
    if len(data) > _ITEMS:
        raise Invalid(field, f"has more than the {_ITEMS} items allowed")
    wrongs = Wrongs()
    for index, item in enumerate(data):
        if len(wrongs) < Wrongs.MOST:
            _check_item(item, f"{field}[{index}]", wrongs)
    wrongs.check()


def _check_item(item: object, at: str, wrongs: Wrongs) -> None:
    allowed = f"allowed: {', '.join(KINDS)}"
    if not isinstance(item, dict) or len(item) != 1:
        wrongs.add(at, f"must be a mapping with exactly one key; {allowed}")
        return
    [(kind, content)] = item.items()
    if kind not in KINDS:
        wrongs.add(at, f"{short(kind)} is not a kind of item; {allowed}")
        return
    if not isinstance(content, dict):
        wrongs.add(kind, f"is {_kind(content)}; it must be a mapping, indented below `{kind}:`")
        return
    name = content.get("name")
    whose = f"{checks.title(name)}: " if isinstance(name, str) and name else ""
    errors = _validator(kind).iter_errors(content)
    for error in islice(errors, Wrongs.MOST):
        for path, message in _told(error):
            wrongs.add(_path(kind, path), whose + message)


@cache
def _validator(kind: str) -> Validator:
    # the package's own validator leaves `deployment` and `blueprint` unchecked, and looks its
    # references up anew for every item, which takes milliseconds each time
    schema = _inlined(SCHEMATA[_ID + {"blueprint": "pipeline"}.get(kind, kind)])
    validator: Validator = type(get_validator())(schema)
    return validator


def _inlined(schema: Any) -> Any:
    """The schema with what its references name in their place; none of them is recursive."""
    if isinstance(schema, list):
        return [_inlined(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    named = schema.get("$ref")
    whole = {**SCHEMATA[_ID + named.rpartition("/")[2]], **schema} if named else schema
    return {key: _inlined(value) for key, value in whole.items() if key not in ("$ref", "$id")}


def _told(error: Complaint) -> Iterable[tuple[list[str | int], str]]:
    """What one complaint of the schema says: field and message, for each field it is about."""
    path, rule, value = list(error.absolute_path), error.validator_value, error.instance
    match error.validator:
        case "required":
            # the validator complains once for each missing name, and says all of them each time
            return [([*path, name], "is missing") for name in rule if name not in value]
        case "additionalProperties":
            known = error.schema["properties"]
            unknown = [name for name in value if name not in known]
            message = f"is not a known field; allowed: {', '.join(sorted(known))}"
            return [([*path, name[:40]], message) for name in unknown]
        case "oneOf":
            return [(path, _one_of(error))]
        case "type":
            return [(path, f"is {_kind(value)}; it must be {_WORDS.get(str(rule), str(rule))}")]
        case "enum":
            return [(path, f"{short(value)} is not allowed; allowed: {', '.join(map(str, rule))}")]
        case "minimum" | "maximum":
            return [(path, f"{short(value)} is out of range; {_bounds(error.schema)}")]
        case "pattern":
            return [(path, f"{short(value)} does not match {rule}{_described(error.schema)}")]
    return [(path, f"does not fit the schema ({error.validator})")]


def _one_of(error: Complaint) -> str:
    required = [name for choice in error.validator_value for name in choice.get("required", ())]
    value = error.instance
    if required == ["key"]:
        return "needs a key, unless its operator is Exists"
    if required and isinstance(value, Mapping):
        given = [name for name in required if name in value]
        has = "has " + " and ".join(given) if given else f"has neither {' nor '.join(required)}"
        return f"{has}; give exactly one of {', '.join(required)}"
    kinds = [_WORDS.get(choice.get("type", ""), "") for choice in error.validator_value]
    if all(kinds):
        return f"is {_kind(value)}; it must be {' or '.join(kinds)}"
    return "fits none, or more than one, of the forms it may have"


def _bounds(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    return f"allowed: {least} to {most}" if most is not None else f"allowed: {least} or more"


def _described(schema: Mapping[str, Any]) -> str:
    description = str(schema.get("description", ""))
    return f" ({description[:300]})" if description else ""


def _path(kind: str, parts: Iterable[str | int]) -> str:
    return kind + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts)


def _kind(value: object) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return f"{str(value).lower()}"
        case str():
            return f"the text {short(value)}"
        case int() | float():
            return f"the number {short(value)}"
        case list():
            return "a list"
        case dict():
            return "a mapping"
    return f"a {type(value).__name__}"
