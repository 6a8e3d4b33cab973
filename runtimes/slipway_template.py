"""Checks what came in a request against a route's template, and says all that is wrong with it.

Errors have the shape that FastAPI's users know: `{"detail": [{"loc", "msg", "type"}]}`.
"""

from __future__ import annotations

import json

NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "an object",
}
TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}


class Rejected(Exception):
    """The request is the caller's mistake: `status` and the `detail` to answer with."""

    def __init__(self, status, detail):
        super().__init__(detail)
        self.status = status
        self.detail = detail


def _no_constant(name):
    raise ValueError("%s is not JSON" % name)


def parse(body):
    """The JSON object in `body`. Raises Rejected with 400 or 422."""
    try:
        values = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise Rejected(400, "the body is not UTF-8") from None
    except RecursionError:
        raise Rejected(400, "the body is nested too deeply") from None
    except ValueError as error:
        raise Rejected(400, "the body is not JSON: %s" % str(error)[:200]) from None
    if not isinstance(values, dict):
        raise Rejected(422, [_wrong([], "the body must be a JSON object", "object_type")])
    return values


def check(template, values):
    """The values in the template's order. Raises Rejected with every mistake."""
    wrong = []
    for parameter in template:
        name = parameter["name"]
        if name not in values:
            wrong.append(_wrong([name], "%s is missing" % name, "missing"))
        elif not matches(values[name], parameter["type"]):
            text = "%s must be %s" % (name, NAMES[parameter["type"]])
            wrong.append(_wrong([name], text, parameter["type"] + "_type"))
    known = [parameter["name"] for parameter in template]
    for name in values:
        if name not in known:
            allowed = ", ".join(known) or "none"
            text = "%s is not a parameter; allowed: %s" % (name[:80], allowed)
            wrong.append(_wrong([name[:80]], text, "extra_forbidden"))
    if wrong:
        raise Rejected(422, wrong)
    return [convert(values[parameter["name"]], parameter["type"]) for parameter in template]


def matches(value, kind):
    """Whether a JSON value is of the kind. An integer is a number; true is neither."""
    if isinstance(value, bool):
        return kind == "bool"
    if kind == "float":
        return isinstance(value, (int, float))
    return isinstance(value, TYPES[kind])


def convert(value, kind):
    if kind != "float":
        return value
    try:
        return float(value)
    except OverflowError:
        raise Rejected(422, [_wrong([], "a number is too large", "float_type")]) from None


def from_query(template, query):
    """Values of a request without a body: each parameter's text from the query, converted."""
    kinds = {parameter["name"]: parameter["type"] for parameter in template}
    return {name: _read(text, kinds.get(name, "str")) for name, text in query}


def _read(text, kind):
    if kind == "str":
        return text
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text  # of the wrong type, which `check` will say


def _wrong(where, message, kind):
    return {"loc": ["body", *where], "msg": message, "type": kind}
